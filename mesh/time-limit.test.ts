import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { withTimeLimit } from "./time-limit.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const untilAborted = async (signal: AbortSignal): Promise<string> => {
  await once(signal, "abort");
  return "aborted";
};

describe("withTimeLimit", () => {
  test("ends the work when its time is up, whatever was collected in between", async () => {
    const never = new AbortController();
    const collecting = setInterval(collectGarbage, 5);
    try {
      expect(await withTimeLimit({ ms: 50, signal: never.signal }, untilAborted)).toBe("aborted");
    } finally {
      clearInterval(collecting);
    }
  });

  test("ends the work when the signal aborts", async () => {
    const caller = new AbortController();
    const ended = withTimeLimit({ ms: 3_600_000, signal: caller.signal }, untilAborted);
    caller.abort();
    expect(await ended).toBe("aborted");
  });

  test("gives what the work comes to, and its failure", async () => {
    const limit = { ms: 3_600_000, signal: new AbortController().signal };
    expect(await withTimeLimit(limit, async () => 7)).toBe(7);
    await expect(withTimeLimit(limit, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  });
});
