import { setTimeout as delay } from "node:timers/promises";
import { CallFailure } from "./wire.ts";

const pauseMs = 300;
const maxTries = 100;
const badLuck = [
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "RESOURCE_EXHAUSTED",
  "INTERNAL",
  "UNKNOWN",
  "CANCELLED",
  "ABORTED",
];

/**
 * Does the same again, a little later, until it succeeds. Rejects when it is refused for good, and when patience is at
 * its end.
 */
export async function insist<Result>(
  work: () => Promise<Result>,
  options: { readonly tries?: number; readonly onFailure?: (failure: CallFailure) => void } = {},
): Promise<Result> {
  const { tries = maxTries, onFailure } = options;
  for (let left = tries; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CallFailure)) throw error;
      onFailure?.(error);
      if (left <= 1 || !badLuck.includes(error.code)) throw error;
      await delay(pauseMs);
    }
  }
}
