import fc from "fast-check";
import { expect, test } from "vitest";
import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import { chooseVersion } from "./route-rules.ts";

const canary: TrafficSplit = {
  headerMatches: [
    { header: "x-canary", value: "yes", version: "v3" },
    { header: "x-team", value: "cart", version: "v2" },
  ],
  weights: [
    { version: "v1", percent: 90 },
    { version: "v2", percent: 10 },
  ],
};

function choose(split: TrafficSplit, there: string[], random: number, headers: Record<string, string> = {}) {
  return chooseVersion(split, new Set(there), { random, header: (name) => headers[name] });
}

test.each([
  [0, "v1"],
  [0.89, "v1"],
  [0.9, "v2"],
  [0.999, "v2"],
])("weights divide the calls: at %s to %s", (random, version) => {
  expect(choose(canary, ["v1", "v2", "v3"], random)).toBe(version);
});

test("the first header that matches decides, whatever the weights say", () => {
  expect(choose(canary, ["v1", "v2", "v3"], 0, { "x-canary": "yes", "x-team": "cart" })).toBe("v3");
  expect(choose(canary, ["v1", "v2", "v3"], 0, { "x-canary": "no", "x-team": "cart" })).toBe("v2");
  expect(choose(canary, ["v1", "v2", "v3"], 0, { "x-canary": "no" })).toBe("v1");
});

test("a version that is not there is passed over, by headers and by weights", () => {
  expect(choose(canary, ["v1", "v2"], 0, { "x-canary": "yes" })).toBe("v1");
  expect(choose(canary, ["v1", "v2"], 0, { "x-canary": "yes", "x-team": "cart" })).toBe("v2");
  expect(choose(canary, ["v2"], 0)).toBe("v2");
  expect(choose(canary, ["v1"], 0.999)).toBe("v1");
});

test("any instance is right when no version with a share is there", () => {
  expect(choose(canary, ["v4"], 0.5)).toBeUndefined();
  expect(choose({ headerMatches: [], weights: [{ version: "v1", percent: 0 }] }, ["v1"], 0)).toBeUndefined();
});

test("each version gets its share of what is there, and no version without one gets any", () => {
  const versions = ["a", "b", "c", "d"];
  const weights = fc.tuple(
    ...versions.map((version) => fc.record({ version: fc.constant(version), percent: fc.nat(100) })),
  );
  fc.assert(
    fc.property(weights, fc.subarray(versions), (weights, there) => {
      const split = { headerMatches: [], weights };
      const steps = 1_000;
      const counts = new Map<string | undefined, number>();
      for (let i = 0; i < steps; i++) {
        const version = choose(split, there, i / steps);
        counts.set(version, (counts.get(version) ?? 0) + 1);
      }
      const present = weights.filter(({ version }) => there.includes(version));
      const total = present.reduce((sum, { percent }) => sum + percent, 0);
      if (total === 0) return counts.get(undefined) === steps;
      // The points are even, so each share is met to within one of them at either end.
      return (
        present.every(
          ({ version, percent }) => Math.abs((counts.get(version) ?? 0) - (steps * percent) / total) <= 2,
        ) && !counts.has(undefined)
      );
    }),
    { numRuns: 50 },
  );
});
