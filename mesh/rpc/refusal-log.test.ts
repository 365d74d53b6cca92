import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRefusalLog } from "./refusal-log.ts";

function startLog() {
  const told: number[] = [];
  const warn = (fields: { readonly refused: number }) => told.push(fields.refused);
  // Only this form of it is used.
  return { told, refusals: createRefusalLog({ warn } as Parameters<typeof createRefusalLog>[0]) };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("the first gets a line, and the others of each second share one", () => {
  const { told, refusals } = startLog();
  expect(refusals.count()).toBe(true);
  for (let i = 0; i < 1_000; i += 1) expect(refusals.count()).toBe(false);
  vi.advanceTimersByTime(1_000);
  for (let i = 0; i < 10; i += 1) expect(refusals.count()).toBe(false);
  vi.advanceTimersByTime(1_000);
  expect(told).toEqual([1_000, 10]);
});

test("after a second without any, the next gets a line again, and nothing is told of nothing", () => {
  const { told, refusals } = startLog();
  refusals.count();
  vi.advanceTimersByTime(1_000);
  expect(refusals.count()).toBe(true);
  vi.advanceTimersByTime(5_000);
  expect(told).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
