import type { StatusObject } from "@grpc/grpc-js";
import { epochMs } from "#mesh/clock.ts";
import { meshFailure, RpcError } from "#mesh/contract/errors.ts";
import { random } from "#mesh/random.ts";
import type { AbortListener, CallContext } from "#mesh/rpc/call-context.ts";
import type { Outcome } from "#mesh/rpc/client-call.ts";
import {
  type FailedAttempt,
  isRetryable,
  MAX_ATTEMPTS,
  PUSHBACK_KEY,
  type RetryBudget,
  retryDelayMs,
} from "#mesh/rpc/retry-rules.ts";

/** One attempt at a call that is answered once; its request is on its way. */
export interface Attempt {
  receiveOnly(): Promise<Outcome>;
  /** Gives it up, unless it has ended. */
  cancel(): void;
}

/** What further attempts at one call depend on. */
export interface AttemptPlan {
  readonly budget: RetryBudget;
  /** Epoch milliseconds. */
  readonly deadline: number;
  /** The call for which all are made. When it is over, there is no further one. */
  readonly parent: Pick<CallContext, "abortReason" | "listen" | "leave">;
  /** How many there were; whoever opens one counts it. */
  readonly attempts: number;
}

/**
 * Makes further attempts, one after the other, while what came of the last is worth one: see `retryDelayMs`, and the
 * budget and the deadline must have room for it. Returns what came of the last. Rejects when the call is over meanwhile.
 */
export async function retry<R>(
  first: R,
  {
    endOf,
    again,
    plan,
  }: { endOf: (result: R) => StatusObject | undefined; again: () => Promise<R>; plan: AttemptPlan },
): Promise<R> {
  let result = first;
  for (;;) {
    const end = endOf(result);
    const delayMs = end && retryDelayMs(failedAttempt(end, plan), random());
    if (delayMs === undefined || epochMs() + delayMs >= plan.deadline || !plan.budget.take()) return result;
    await pause(delayMs, plan.parent);
    result = await again();
  }
}

/**
 * Makes an attempt, and a further one beside it each time `afterMs` went by without an answer and the budget has room.
 * The first answer counts, and the others are cancelled. A failure that is worth a retry is no answer while another
 * attempt may give one; when none is left, the last failure is what came of it, and the caller retries.
 */
export function hedge(afterMs: number, plan: AttemptPlan, open: () => Attempt): Promise<Outcome> {
  return new Promise((resolve) => {
    const running = new Set<Attempt>();
    let timer: NodeJS.Timeout | undefined;
    let settled = false;

    const begin = (): void => {
      const attempt = open();
      running.add(attempt);
      void attempt.receiveOnly().then((outcome) => ended(attempt, outcome));
      timer = plan.attempts < MAX_ATTEMPTS ? setTimeout(beginAnother, afterMs) : undefined;
    };
    const beginAnother = (): void => {
      if (!plan.budget.take()) return;
      try {
        begin();
      } catch {
        // The call is over, which the attempt that still runs will tell.
      }
    };
    const ended = (attempt: Attempt, outcome: Outcome): void => {
      running.delete(attempt);
      if (settled) return;
      const { end } = outcome;
      const retryable = isRetryable(end.code);
      const further = retryDelayMs(failedAttempt(end, plan), 0) !== undefined;
      if (!retryable || !further || running.size === 0) clearTimeout(timer);
      if (retryable && running.size > 0) return;
      settled = true;
      for (const other of running) other.cancel();
      resolve(outcome);
    };
    begin();
  });
}

/** `retry` for a call that is answered once. */
export function retryOne(first: Outcome, plan: AttemptPlan, open: () => Attempt): Promise<Outcome> {
  return retry(first, { endOf: ({ end }) => end, again: () => open().receiveOnly(), plan });
}

function failedAttempt({ code, metadata }: StatusObject, { attempts }: AttemptPlan): FailedAttempt {
  const [pushback] = metadata.get(PUSHBACK_KEY);
  return { code, pushback: pushback?.toString(), attempts };
}

/** Waits. Rejects with an `RpcError` when `parent` is over before. */
export function pause(ms: number, parent: AttemptPlan["parent"]): Promise<void> {
  return new Promise((resolve, reject) => {
    if (parent.abortReason !== undefined) return reject(over(parent.abortReason));
    const listener: AbortListener = {
      onAbort(reason) {
        clearTimeout(timer);
        reject(over(reason));
      },
    };
    const timer = setTimeout(() => {
      parent.leave(listener);
      resolve();
    }, ms);
    parent.listen(listener);
  });
}

function over(reason: Error): RpcError {
  if (reason instanceof RpcError) return reason;
  return meshFailure("CANCELLED", "the call that this one was made for has ended", { remote: true, cause: reason });
}
