import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { interruptible } from "./run-signal.ts";

test("what fails after an interruption came first is nobody's defect", async () => {
  let fail = (_: Error): void => undefined;
  const work = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  await expect(interruptible(work, AbortSignal.abort())).rejects.toThrow("interrupted");
  // Vitest fails a run in which a rejection is left to nobody.
  fail(new Error("the shop is being stopped"));
  await nextTurn();
});
