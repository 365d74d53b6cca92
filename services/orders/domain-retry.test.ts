import fc from "fast-check";
import { expect, it } from "vitest";
import { backoffMs, FIRST_BACKOFF_MS, MAX_BACKOFF_MS, STUCK_ATTEMPTS } from "./domain-retry.ts";

it("doubles the wait with each failure, to a limit", () => {
  const waits = [1, 2, 3, 4, 100].map((attempts) => backoffMs(attempts, 0.999_999_9));
  expect(waits).toEqual([
    FIRST_BACKOFF_MS,
    2 * FIRST_BACKOFF_MS,
    4 * FIRST_BACKOFF_MS,
    8 * FIRST_BACKOFF_MS,
    MAX_BACKOFF_MS,
  ]);
});

it("spreads the wait over its upper half, whatever came before", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempts, jitter) => {
        const least = backoffMs(attempts, 0);
        const wait = backoffMs(attempts, jitter);
        expect(wait).toBeGreaterThanOrEqual(least);
        expect(wait).toBeLessThanOrEqual(2 * least);
        expect(wait).toBeLessThanOrEqual(MAX_BACKOFF_MS);
      },
    ),
  );
});

it("calls an order stuck within about a minute", () => {
  let waited = 0;
  for (let attempts = 1; attempts < STUCK_ATTEMPTS; attempts += 1) waited += backoffMs(attempts, 0.999);
  expect(waited).toBeGreaterThan(20_000);
  expect(waited).toBeLessThan(90_000);
});
