import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { BUDGET_TOKENS, createRetryBudget, createRetryBudgets, MAX_ATTEMPTS, retryDelayMs } from "./retry-rules.ts";

function failed(attempts: number, { code = status.UNAVAILABLE, pushback = "" } = {}) {
  return { code, pushback: pushback === "" ? undefined : pushback, attempts };
}

describe("the wait before the next attempt", () => {
  test("doubles, and half of it is chance", () => {
    expect(retryDelayMs(failed(1), 0)).toBe(25);
    expect(retryDelayMs(failed(1), 0.999)).toBeCloseTo(50, 0);
    expect(retryDelayMs(failed(2), 0)).toBe(50);
    expect(retryDelayMs(failed(2), 0.999)).toBeCloseTo(100, 0);
  });

  test("is what the callee asks for", () => {
    expect(retryDelayMs(failed(1, { pushback: "700" }), 0.5)).toBe(700);
    expect(retryDelayMs(failed(1, { pushback: "0" }), 0.5)).toBe(0);
  });

  test.each(["-1", "-5", "soon", "1e3", "99999999999"])("does not come when the callee says %s", (pushback) => {
    expect(retryDelayMs(failed(1, { pushback }), 0.5)).toBeUndefined();
  });

  test("does not come after the last attempt", () => {
    expect(retryDelayMs(failed(MAX_ATTEMPTS), 0.5)).toBeUndefined();
    expect(retryDelayMs(failed(MAX_ATTEMPTS, { pushback: "0" }), 0.5)).toBeUndefined();
  });

  test.each([
    status.OK,
    status.CANCELLED,
    status.UNKNOWN,
    status.DEADLINE_EXCEEDED,
    status.RESOURCE_EXHAUSTED,
    status.ABORTED,
    status.INTERNAL,
  ])("does not come for code %i", (code) => {
    expect(retryDelayMs(failed(1, { code }), 0.5)).toBeUndefined();
  });
});

describe("a budget", () => {
  /** What a load of `calls` spends when each fails at first with probability `share`, spread evenly. */
  function spend(calls: number, share: number): number {
    const budget = createRetryBudget();
    let further = 0;
    for (let call = 0; call < calls; call++) {
      const fails = Math.floor((call + 1) * share) > Math.floor(call * share);
      if (fails && budget.take()) further += 1;
      else if (!fails) budget.earn();
    }
    return further;
  }

  test("adds nothing but its beginning when nobody is answered", () => {
    expect(spend(10_000, 1)).toBe(BUDGET_TOKENS);
  });

  test.each([0.1, 0.3, 0.5, 0.9])("adds at most a tenth to a steady load of which %f fails", (share) => {
    expect(spend(10_000, share)).toBeLessThanOrEqual(1_000 + BUDGET_TOKENS);
  });

  test("covers every failure while a twentieth fails", () => {
    expect(spend(10_000, 0.05)).toBe(500);
  });

  test("does not grow beyond its beginning", () => {
    const budget = createRetryBudget();
    for (let call = 0; call < 10_000; call++) budget.earn();
    for (let token = 0; token < BUDGET_TOKENS; token++) expect(budget.take()).toBe(true);
    expect(budget.take()).toBe(false);
    for (let call = 0; call < 9; call++) budget.earn();
    expect(budget.take()).toBe(false);
    budget.earn();
    expect(budget.take()).toBe(true);
  });

  test("is one for each service", () => {
    const budgets = createRetryBudgets();
    expect(budgets.of("cart")).toBe(budgets.of("cart"));
    expect(budgets.of("cart")).not.toBe(budgets.of("orders"));
  });
});
