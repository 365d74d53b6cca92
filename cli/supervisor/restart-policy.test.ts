import { expect, test } from "vitest";
import { createRestartTimes, type RestartPolicy } from "./restart-policy.ts";

const policy: RestartPolicy = {
  initialMs: 100,
  maxMs: 300,
  steadyMs: 1_000,
  readyMs: 20_000,
  crashes: 5,
  crashingMs: 2_000,
  crashingMaxMs: 5_000,
};

test("waits longer after each end that comes soon, and tells from the fifth on that it keeps crashing", () => {
  const times = createRestartTimes(policy);
  const ends = Array.from({ length: 8 }, () => times.ended(10));
  expect(ends.map(({ delayMs }) => delayMs)).toEqual([100, 200, 300, 300, 2_000, 4_000, 5_000, 5_000]);
  expect(ends.map(({ crashes }) => crashes)).toEqual([undefined, undefined, undefined, undefined, 5, 6, 7, 8]);
});

test("begins anew after a life that was long enough", () => {
  const times = createRestartTimes(policy);
  for (let end = 0; end < 6; end++) times.ended(10);
  expect(times.ended(1_000)).toEqual({ delayMs: 100, crashes: undefined });
  expect(times.ended(10)).toEqual({ delayMs: 200, crashes: undefined });
});

test("stays within its bound for ever", () => {
  const times = createRestartTimes(policy);
  for (let end = 0; end < 2_000; end++) times.ended(0);
  expect(times.ended(0).delayMs).toBe(5_000);
});
