import type { Rate } from "./limits.ts";

/** Counts something that happens against a rate. */
export interface Budget {
  /** Counts one; false once there were too many. */
  take(): boolean;
}

/** A token bucket. `nowMs` is any clock that only goes forward. */
export function createBudget({ burst, perSecond }: Rate, nowMs: () => number = () => performance.now()): Budget {
  let tokens = burst;
  let filledAtMs = nowMs();
  return {
    take() {
      const now = nowMs();
      tokens = Math.min(burst, tokens + ((now - filledAtMs) / 1_000) * perSecond);
      filledAtMs = now;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
