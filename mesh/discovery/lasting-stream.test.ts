import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { meshFailure } from "#mesh/contract/errors.ts";
import { LastingStream, StreamLost } from "./lasting-stream.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => vi.useRealTimers());

/** One stream that was opened, as the other side ends it. */
interface Opened {
  readonly signal: AbortSignal;
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
}

function start(random = 0.5): {
  readonly stream: LastingStream;
  readonly opened: Opened[];
  readonly warnings: unknown[];
} {
  const opened: Opened[] = [];
  const warnings: unknown[] = [];
  const stream = new LastingStream({
    name: "test",
    log: { info() {}, warn: (...line: unknown[]) => warnings.push(line) },
    random: () => random,
    open: ({ signal, established }) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => resolve());
        opened.push({ signal, answer: established, fail: reject });
      }),
  });
  return { stream, opened, warnings };
}

/** Lets time pass, and what waits for promises happen. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test("opens at once, and comes back within a second after a stream broke, each at a moment of its own", async () => {
  for (const random of [0.1, 0.5, 0.99]) {
    const { opened } = start(random);
    opened[0]?.answer();
    opened[0]?.fail(new Error("broken"));
    await pass(random * 1_000 - 1);
    expect(opened).toHaveLength(1);
    await pass(2);
    expect(opened).toHaveLength(2);
  }
});

test("tells of a loss that is to be expected in a line, and of a defect with all there is", async () => {
  const { opened, warnings } = start();
  const away = meshFailure("SERVICE_UNAVAILABLE", "control cannot be reached");
  const defect = new TypeError("undefined is no function");
  for (const error of [away, new StreamLost("control answers no report any more"), defect]) {
    opened.at(-1)?.answer();
    opened.at(-1)?.fail(error);
    await pass(2_000);
  }
  const lost = "control is lost; going on with what is known";
  expect(warnings).toEqual([
    [{ stream: "test", reason: "SERVICE_UNAVAILABLE", cause: "control cannot be reached" }, lost],
    [{ stream: "test", cause: "control answers no report any more" }, lost],
    [{ stream: "test", err: defect }, lost],
  ]);
});

test("counts a stream that broke as soon as it stood as a failure", async () => {
  const { opened } = start(0.999);
  for (const limitMs of [1_000, 500, 1_000, 2_000]) {
    const before = opened.length;
    opened.at(-1)?.answer();
    opened.at(-1)?.fail(new Error("replaced"));
    await pass(limitMs / 2);
    expect(opened).toHaveLength(before);
    await pass(limitMs / 2);
    expect(opened).toHaveLength(before + 1);
  }
});

test("tries again later each time, but never later than after five seconds, and warns once", async () => {
  const { opened, warnings } = start(0.999);
  for (const limitMs of [500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    const before = opened.length;
    opened.at(-1)?.fail(new Error("nobody there"));
    await pass(limitMs / 2);
    expect(opened).toHaveLength(before);
    await pass(limitMs / 2);
    expect(opened).toHaveLength(before + 1);
  }
  expect(warnings).toHaveLength(1);
});

test("gives up a stream that is not answered within five seconds, and tries again", async () => {
  const { opened } = start(0);
  await pass(4_999);
  expect(opened[0]?.signal.aborted).toBe(false);
  await pass(2);
  expect(opened[0]?.signal.aborted).toBe(true);
  expect(opened).toHaveLength(2);
});

test("lets an old stream go only when another one is answered", async () => {
  const { opened } = start();
  opened[0]?.answer();
  await pass(300_000);
  expect(opened).toHaveLength(2);
  expect(opened[0]?.signal.aborted).toBe(false);
  opened[1]?.fail(new Error("not now"));
  await pass(300);
  expect(opened).toHaveLength(3);
  expect(opened[0]?.signal.aborted).toBe(false);
  opened[2]?.answer();
  expect(opened[0]?.signal.aborted).toBe(true);
  expect(opened[2]?.signal.aborted).toBe(false);
  await pass(299_999);
  expect(opened).toHaveLength(3);
});

test("goes on with its successor when the old stream breaks first", async () => {
  const { opened } = start();
  opened[0]?.answer();
  await pass(300_000);
  opened[0]?.fail(new Error("broken"));
  await pass(2_000);
  opened[1]?.answer();
  await pass(5_000);
  expect(opened).toHaveLength(2);
  expect(opened[1]?.signal.aborted).toBe(false);
});

test("begins nothing further when held, and keeps what is open or on its way until closed", async () => {
  const { stream, opened } = start();
  opened[0]?.answer();
  await pass(300_000);
  stream.hold();
  expect(opened.map(({ signal }) => signal.aborted)).toEqual([false, false]);
  opened[1]?.answer();
  expect(opened.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  await pass(1_000_000);
  expect(opened).toHaveLength(2);
  stream.close();
  expect(opened[1]?.signal.aborted).toBe(true);
  await pass(1_000_000);
  expect(opened).toHaveLength(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("begins one at once when it is held while there is none, and that is the last", async () => {
  const { stream, opened } = start();
  opened[0]?.answer();
  opened[0]?.fail(new Error("broken"));
  await pass(0);
  stream.hold();
  expect(opened).toHaveLength(2);
  opened[1]?.fail(new Error("nobody there"));
  await pass(1_000_000);
  stream.hold();
  expect(opened).toHaveLength(2);
  stream.close();
});

test("begins none when it is held after it was closed", () => {
  const { stream, opened } = start();
  stream.close();
  stream.hold();
  expect(opened).toHaveLength(1);
});
