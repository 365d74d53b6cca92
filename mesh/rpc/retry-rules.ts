import { status } from "@grpc/grpc-js";

/** Attempts of one call, the first, its retries and its hedges together. */
export const MAX_ATTEMPTS = 3;

/** A budget begins full: as many calls as may be under way to an instance when it dies. */
export const BUDGET_TOKENS = 50;

/** What a call that succeeds gives back: further attempts add at most a tenth to the calls of a steady load. */
const TOKENS_PER_SUCCESS = 0.1;

const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 500;
const BACKOFF_FACTOR = 2;

/** The trailer by which a callee says when to try again, or with −1 not to (gRPC A6). */
export const PUSHBACK_KEY = "grpc-retry-pushback-ms";

/**
 * What this process may spend on further attempts at one service. Only success fills it: of a service that answers
 * nobody, nothing more is asked than its callers ask for.
 */
export interface RetryBudget {
  /** Takes what one further attempt costs; false, and nothing taken, when that is not there. */
  take(): boolean;
  /** A call succeeded. */
  earn(): void;
}

export function createRetryBudget(): RetryBudget {
  // In tenths, since 0.1 is no number of a computer's.
  const perToken = Math.round(1 / TOKENS_PER_SUCCESS);
  const full = BUDGET_TOKENS * perToken;
  let left = full;
  return {
    take() {
      if (left < perToken) return false;
      left -= perToken;
      return true;
    },
    earn() {
      if (left < full) left += 1;
    },
  };
}

/** The budgets of one process, one for each service that it calls. */
export interface RetryBudgets {
  of(owner: string): RetryBudget;
}

export function createRetryBudgets(): RetryBudgets {
  const budgets = new Map<string, RetryBudget>();
  return {
    of(owner) {
      const known = budgets.get(owner);
      if (known !== undefined) return known;
      const budget = createRetryBudget();
      budgets.set(owner, budget);
      return budget;
    },
  };
}

/** How the callee ended an attempt, and how many there were with it. */
export interface FailedAttempt {
  readonly code: number;
  /** The value of `PUSHBACK_KEY`; undefined when it asks nothing. */
  readonly pushback: string | undefined;
  readonly attempts: number;
}

/**
 * How long to wait before the next attempt; undefined when there shall be none. `random` is from 0 up to 1, and spreads
 * those who failed together: half of the wait is fixed, so that a callee has time to come back.
 */
export function retryDelayMs({ code, pushback, attempts }: FailedAttempt, random: number): number | undefined {
  if (!isRetryable(code) || attempts >= MAX_ATTEMPTS) return undefined;
  // What cannot be read says no.
  if (pushback !== undefined) return /^\d{1,9}$/.test(pushback) ? Number(pushback) : undefined;
  const most = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * BACKOFF_FACTOR ** (attempts - 1));
  return (most * (1 + random)) / 2;
}

/** Whether a failure says that nothing is wrong with the call: another attempt may succeed. */
export function isRetryable(code: number): boolean {
  return code === status.UNAVAILABLE;
}
