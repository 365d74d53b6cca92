import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { testSource } from "#testing/certificates.ts";
import { freePort } from "#testing/ports.ts";
import { isHeardOf } from "../checks/health.ts";
import { HANG_SECONDS, watchForHangs } from "./hang-watch.ts";
import type { ProcessState, ProcessStatus } from "./supervise.ts";

describe("a process that is watched", () => {
  let ending: AbortController;
  let watching: Promise<void>;
  let state: ProcessState;
  let pid: number;
  let hung: number[];
  /** How a question ends. */
  let answers: () => Promise<boolean>;

  const fine = async (): Promise<boolean> => true;
  const silent = (timeoutMs = 3_000): Promise<boolean> =>
    new Promise((resolve) => setTimeout(() => resolve(false), timeoutMs));
  const present = (): ProcessStatus => ({
    ...{ name: "control", service: "control", version: "v1", port: 1, pid, state },
    ...{ startTime: new Date(0), restarts: 0, lastExit: "" },
  });
  const wait = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1_000);

  beforeEach(() => {
    vi.useFakeTimers();
    ending = new AbortController();
    state = "ready";
    pid = 7;
    hung = [];
    answers = fine;
    watching = watchForHangs(
      {
        process: present,
        answers: () => answers(),
        onHang: (process) => void hung.push(process.pid),
        clock: { now: () => new Date() },
      },
      ending.signal,
    );
  });
  afterEach(async () => {
    ending.abort();
    await wait(5);
    await watching;
    vi.useRealTimers();
  });

  test("hangs when it has not answered for fifteen seconds, and not before", async () => {
    await wait(60);
    answers = silent;
    await wait(HANG_SECONDS - 1);
    expect(hung).toEqual([]);
    await wait(3);
    expect(hung).toEqual([7]);
  });

  test("does not hang when it answers now and then", async () => {
    let asked = 0;
    answers = () => {
      asked += 1;
      return asked % 3 === 0 ? fine() : silent();
    };
    await wait(120);
    expect(asked).toBeGreaterThan(20);
    expect(hung).toEqual([]);
  });

  test.each([
    ["the wall clock", () => vi.setSystemTime(Date.now() + 3_600_000)],
    ["the time that timers go by", () => vi.advanceTimersByTime(60_000)],
  ])("is not blamed when its watcher stood still, by %s", async (_, sleep) => {
    answers = async () => {
      sleep();
      return false;
    };
    await wait(60);
    expect(hung).toEqual([]);
  });

  test("begins anew as another process, and is asked nothing while it starts", async () => {
    answers = silent;
    await wait(11);
    pid = 8;
    await wait(11);
    state = "starting";
    await wait(60);
    expect(hung).toEqual([]);
    state = "ready";
    await wait(30);
    expect(hung[0]).toBe(8);
  });
});

describe("who is asked whether it hangs", () => {
  const peer = { service: "control", certificates: testSource("supervisor") };

  test("is not heard of when it takes a connection and says nothing", async () => {
    const mute = createServer().listen(0, "127.0.0.1");
    await once(mute, "listening");
    const address = mute.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(await isHeardOf(`127.0.0.1:${port}`, 300, peer)).toBe(false);
    mute.close();
  });

  test("is heard of when it refuses", async () => {
    expect(await isHeardOf(`127.0.0.1:${await freePort()}`, 10_000, peer)).toBe(true);
  });
});
