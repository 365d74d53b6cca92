import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createPause } from "./pause.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("has one tried at a time, ever more rarely, until the server answers", () => {
  const over = vi.fn();
  const pause = createPause({ firstMs: 1_000, maxMs: 4_000 }, over);
  expect(pause.room(5)).toBe(5);
  for (const waitMs of [1_000, 2_000, 4_000, 4_000]) {
    over.mockClear();
    pause.begin();
    // The others that were under way fail as well; they begin no pause of their own.
    pause.begin();
    expect(pause.room(5)).toBe(0);
    vi.advanceTimersByTime(waitMs - 1);
    expect(over).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(over).toHaveBeenCalledOnce();
    expect(pause.room(5)).toBe(1);
  }
  pause.end();
  expect(pause.room(5)).toBe(5);
  pause.begin();
  vi.advanceTimersByTime(1_000);
  expect(pause.room(5)).toBe(1);
});

test("is over at once when an answer comes after all, and for good once it is closed", () => {
  const over = vi.fn();
  const pause = createPause({ firstMs: 1_000, maxMs: 4_000 }, over);
  pause.begin();
  pause.end();
  expect(over).toHaveBeenCalledOnce();
  expect(pause.room(5)).toBe(5);
  pause.begin();
  pause.close();
  vi.advanceTimersByTime(10_000);
  expect(over).toHaveBeenCalledOnce();
});
