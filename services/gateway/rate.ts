import type { Rate } from "./limits.ts";

/** Counts something that happens against a rate. */
export interface Budget {
  /** Counts one; false once there were too many. */
  take(): boolean;
  /** Counts one that has happened, allowed or not; what is over the rate must be made up for before more is left. */
  spend(): void;
  /** Whether one more would be within the rate. */
  left(): boolean;
}

/** A token bucket. `nowMs` is any clock that only goes forward. */
export function createBudget({ burst, perSecond }: Rate, nowMs: () => number = () => performance.now()): Budget {
  let tokens = burst;
  let filledAtMs = nowMs();
  const fill = (): number => {
    const now = nowMs();
    tokens = Math.min(burst, tokens + ((now - filledAtMs) / 1_000) * perSecond);
    filledAtMs = now;
    return tokens;
  };
  return {
    take() {
      if (fill() < 1) return false;
      tokens -= 1;
      return true;
    },
    spend() {
      fill();
      tokens -= 1;
    },
    left: () => fill() >= 1,
  };
}
