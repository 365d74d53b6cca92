import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { epochMs } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { type Attempt, type AttemptPlan, hedge, pause, retryOne } from "./attempts.ts";
import type { AbortListener } from "./call-context.ts";
import type { Outcome } from "./client-call.ts";
import { createRetryBudget, type RetryBudget } from "./retry-rules.ts";

// In virtual time: attempts are answered by the test, and the clock moves when it says so.

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] }));
afterEach(() => void vi.useRealTimers());

const answered: Outcome = { message: Buffer.from("answer"), end: endOf(status.OK) };
const away: Outcome = { message: undefined, end: endOf(status.UNAVAILABLE) };
const notFound: Outcome = { message: undefined, end: endOf(status.NOT_FOUND) };
const pushedBack: Outcome = { message: undefined, end: endOf(status.UNAVAILABLE, "-1") };

function endOf(code: status, pushback?: string) {
  const metadata = new Metadata();
  if (pushback !== undefined) metadata.set("grpc-retry-pushback-ms", pushback);
  return { code, details: "", metadata };
}

interface Made extends Attempt {
  readonly atMs: number;
  end(outcome: Outcome): void;
  cancelled: boolean;
}

/** A call whose attempts the test ends one by one. */
function createCall({
  deadlineMs = 10_000,
  budget = createRetryBudget(),
}: {
  deadlineMs?: number;
  budget?: RetryBudget;
} = {}) {
  const startMs = epochMs();
  const listeners = new Set<AbortListener>();
  const parent = {
    abortReason: undefined as Error | undefined,
    listen: (listener: AbortListener) => void listeners.add(listener),
    leave: (listener: AbortListener) => void listeners.delete(listener),
  };
  const made: Made[] = [];
  const plan: AttemptPlan = {
    budget,
    deadline: startMs + deadlineMs,
    parent,
    get attempts() {
      return made.length;
    },
  };
  const open = (): Attempt => {
    let end: (outcome: Outcome) => void = () => {};
    const outcome = new Promise<Outcome>((resolve) => {
      end = resolve;
    });
    const attempt: Made = {
      atMs: epochMs() - startMs,
      end,
      cancelled: false,
      receiveOnly: () => outcome,
      cancel: () => {
        attempt.cancelled = true;
      },
    };
    made.push(attempt);
    return attempt;
  };
  const abort = (reason: Error): void => {
    parent.abortReason = reason;
    for (const listener of listeners) listener.onAbort(reason);
  };
  return { plan, open, made, abort, listeners };
}

/** What `promise` came to so far. */
async function soFar<T>(promise: Promise<T>): Promise<T | "pending"> {
  await vi.advanceTimersByTimeAsync(0);
  return Promise.race([promise, Promise.resolve("pending" as const)]);
}

describe("retries", () => {
  test("come one after the other, each later, until one is answered", async () => {
    const { plan, open, made } = createCall();
    open();
    const outcome = retryOne(away, plan, open);
    await vi.advanceTimersByTimeAsync(24);
    expect(made).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(26);
    expect(made).toHaveLength(2);
    made[1]?.end(away);
    await vi.advanceTimersByTimeAsync(49);
    expect(made).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(51);
    expect(made).toHaveLength(3);
    made[2]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
  });

  test("end with the third attempt, whatever came of it", async () => {
    const { plan, open, made } = createCall();
    open();
    const outcome = retryOne(away, plan, open);
    for (const place of [1, 2]) {
      await vi.advanceTimersByTimeAsync(100);
      made[place]?.end(away);
    }
    expect(await soFar(outcome)).toBe(away);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(made).toHaveLength(3);
  });

  test("do not begin when they could not before the deadline", async () => {
    const { plan, open, made } = createCall({ deadlineMs: 20 });
    open();
    expect(await soFar(retryOne(away, plan, open))).toBe(away);
    expect(made).toHaveLength(1);
  });

  test("do not begin without budget, and take one token each", async () => {
    const budget = createRetryBudget();
    let tokens = 1;
    const scarce: RetryBudget = { ...budget, take: () => tokens-- > 0 };
    const { plan, open, made } = createCall({ budget: scarce });
    open();
    const outcome = retryOne(away, plan, open);
    await vi.advanceTimersByTimeAsync(50);
    made[1]?.end(away);
    expect(await soFar(outcome)).toBe(away);
    expect(made).toHaveLength(2);
  });

  test("do not begin when the callee pushes back", async () => {
    const { plan, open, made } = createCall();
    open();
    expect(await soFar(retryOne(pushedBack, plan, open))).toBe(pushedBack);
    expect(made).toHaveLength(1);
  });

  test("end with the call they are made for", async () => {
    const { plan, open, made, abort } = createCall();
    open();
    const outcome = retryOne(away, plan, open);
    await soFar(outcome.catch(() => undefined));
    const reason = new Error("the caller is gone");
    abort(reason);
    await expect(outcome).rejects.toMatchObject({ code: "CANCELLED", cause: reason });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(1);
  });
});

describe("a pause", () => {
  test("leaves nothing behind", async () => {
    const { plan, listeners } = createCall();
    const done = pause(10, plan.parent);
    expect(listeners.size).toBe(1);
    await vi.advanceTimersByTimeAsync(10);
    await done;
    expect(listeners.size).toBe(0);
  });

  test("is not begun for a call that is over", async () => {
    const { plan, abort } = createCall();
    const reason = meshFailure("DEADLINE_EXCEEDED", "over");
    abort(reason);
    await expect(pause(10, plan.parent)).rejects.toBe(reason);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("hedges", () => {
  test("are not made when the answer comes in time", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(19);
    made[0]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("come one by one, three attempts in all; the first answer counts, the others are cancelled", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(500);
    expect(made.map(({ atMs }) => atMs)).toEqual([0, 20, 40]);
    made[1]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
    expect(made.map(({ cancelled }) => cancelled)).toEqual([true, false, true]);
  });

  test("are answers too when they fail for good", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(20);
    made[1]?.end(notFound);
    expect(await soFar(outcome)).toBe(notFound);
    expect(made[0]?.cancelled).toBe(true);
  });

  test("are waited for when another attempt fails so that a retry is worth it", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(20);
    made[0]?.end(away);
    expect(await soFar(outcome)).toBe("pending");
    made[1]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
  });

  test("leave a call that failed for all to retries, of the same three attempts", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(20);
    made[0]?.end(away);
    made[1]?.end(away);
    expect(await soFar(outcome)).toBe(away);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);

    const retried = retryOne(away, plan, open);
    await vi.advanceTimersByTimeAsync(100);
    made[2]?.end(away);
    expect(await soFar(retried)).toBe(away);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(3);
  });

  test("stop when the callee pushes back", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(20);
    made[0]?.end(pushedBack);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(2);
    made[1]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
  });

  test("are not made without budget", async () => {
    const { plan, open, made } = createCall({ budget: { take: () => false, earn: () => {} } });
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(1);
    made[0]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
  });

  test("that lose late change nothing", async () => {
    const { plan, open, made } = createCall();
    const outcome = hedge(20, plan, open);
    await vi.advanceTimersByTimeAsync(20);
    made[0]?.end(answered);
    expect(await soFar(outcome)).toBe(answered);
    made[1]?.end(away);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(made).toHaveLength(2);
  });
});
