import { describe, expect, test } from "vitest";
import { createCircuitBreaker } from "./circuit-breaker.ts";

const rules = { failures: 3, openMs: 1_000, maxOpenMs: 3_000 };

/** A breaker, and the time as the test wants it. */
function start() {
  const time = { nowMs: 0 };
  const breaker = createCircuitBreaker(rules, () => time.nowMs);
  const fail = (times: number): void => {
    for (let i = 0; i < times; i++) breaker.noteFailure();
  };
  return { time, breaker, fail };
}

describe("an instance is left out", () => {
  test("after so many failures in a row, and no earlier", () => {
    const { breaker, fail } = start();
    fail(2);
    expect(breaker.isOpen()).toBe(false);
    fail(1);
    expect(breaker.isOpen()).toBe(true);
  });

  test("never while it answers in between", () => {
    const { breaker, fail } = start();
    for (let i = 0; i < 100; i++) {
      fail(2);
      breaker.noteAnswer();
    }
    expect(breaker.isOpen()).toBe(false);
  });

  test("for a while", () => {
    const { time, breaker, fail } = start();
    fail(3);
    time.nowMs = 999;
    expect(breaker.isOpen()).toBe(true);
    time.nowMs = 1_000;
    expect(breaker.isOpen()).toBe(false);
  });

  test("longer each time that its next call fails, up to a bound", () => {
    const { time, breaker, fail } = start();
    fail(3);
    const lasted: number[] = [];
    for (let round = 0; round < 4; round++) {
      const from = time.nowMs;
      while (breaker.isOpen()) time.nowMs += 100;
      lasted.push(time.nowMs - from);
      fail(1);
    }
    expect(lasted).toEqual([1_000, 2_000, 3_000, 3_000]);
  });

  test("not longer for calls that were under way when it was left out", () => {
    const { time, breaker, fail } = start();
    fail(50);
    time.nowMs = 1_000;
    expect(breaker.isOpen()).toBe(false);
  });

  test("no more once it answers, and then as at first", () => {
    const { time, breaker, fail } = start();
    fail(3);
    breaker.noteAnswer(); // a call that was under way
    expect(breaker.isOpen()).toBe(false);
    fail(2);
    expect(breaker.isOpen()).toBe(false);
    fail(1);
    time.nowMs = 1_000;
    expect(breaker.isOpen()).toBe(false);
  });
});
