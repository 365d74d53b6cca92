import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { backgroundCall, withTimeout } from "./call-context.ts";

const log = pino({ level: "silent" });

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("a call made here ends at its deadline, and with the signal it was made with", () => {
  const parent = new AbortController();
  const late = backgroundCall({ name: "work", timeoutMs: 1_000, signal: parent.signal }, log);
  const narrowed = withTimeout(late, 500);
  vi.advanceTimersByTime(500);
  expect([narrowed.signal.aborted, late.signal.aborted]).toEqual([true, false]);
  parent.abort();
  expect(late.signal.aborted).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test("a call that is done holds no timer, and follows its signal no more", () => {
  const parent = new AbortController();
  const call = backgroundCall({ name: "work", timeoutMs: 1_000, signal: parent.signal }, log);
  const narrowed = withTimeout(call, 500);
  expect(vi.getTimerCount()).toBe(2);
  narrowed.done();
  call.done();
  call.done();
  expect(vi.getTimerCount()).toBe(0);
  parent.abort();
  expect([call.signal.aborted, narrowed.signal.aborted]).toEqual([false, false]);
});
