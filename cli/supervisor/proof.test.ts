import { expect, test } from "vitest";
import { callsBetween, isWorse } from "./proof.ts";

test.each([
  ["fails as the old ones do", { total: 100, failed: 30 }, { total: 100, failed: 30 }, false],
  ["fails more of its calls", { total: 100, failed: 55 }, { total: 100, failed: 30 }, true],
  ["fails a tenth of its calls", { total: 100, failed: 10 }, { total: 100, failed: 0 }, true],
  ["fails a tenth of very many calls", { total: 100_000, failed: 10_000 }, { total: 100_000, failed: 0 }, true],
  ["fails what all fail, of very many calls", { total: 100_000, failed: 1_000 }, { total: 1_000, failed: 10 }, false],
  ["fails all of its calls, though few came", { total: 3, failed: 3 }, { total: 1_000, failed: 0 }, true],
  ["fails all of too few calls to tell", { total: 2, failed: 2 }, { total: 1_000, failed: 0 }, false],
  ["fails when all do", { total: 50, failed: 50 }, { total: 50, failed: 50 }, false],
  ["fails one of twenty", { total: 20, failed: 1 }, { total: 1_000, failed: 0 }, false],
  ["gets no calls", { total: 0, failed: 0 }, { total: 0, failed: 0 }, false],
])("who %s", (_, fresh, old, expected) => {
  expect(isWorse(fresh, old)).toBe(expected);
});

test("counts the calls between two looks, and from nothing for who was started anew", () => {
  const before = new Map([
    ["cart-1", { total: 10, failed: 1 }],
    ["cart-2", { total: 50, failed: 5 }],
  ]);
  const after = new Map([
    ["cart-1", { total: 30, failed: 2 }],
    ["cart-2", { total: 4, failed: 4 }],
    ["cart-3", { total: 7, failed: 0 }],
  ]);
  expect(callsBetween(before, after, ["cart-1", "cart-2"])).toEqual({ total: 24, failed: 5 });
  expect(callsBetween(before, after, ["cart-3", "cart-4"])).toEqual({ total: 7, failed: 0 });
});
