import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { adjust, available, checkHold, planCommit, planRelease, planRestock, type StockLevel } from "./domain.ts";

const level = (sku: string, onHand: bigint, reserved = 0n): StockLevel => ({ sku, onHand, reserved });
const levels = (...rows: StockLevel[]): ReadonlyMap<string, StockLevel> => new Map(rows.map((row) => [row.sku, row]));

describe("checkHold", () => {
  test("admits what is exactly there", () => {
    expect(checkHold([{ sku: "A", quantity: 3n }], levels(level("A", 5n, 2n)))).toBeUndefined();
  });

  test("names every short line with what can be had of it", () => {
    const lines = [
      { sku: "A", quantity: 4n },
      { sku: "B", quantity: 1n },
      { sku: "C", quantity: 9n },
    ];
    expect(checkHold(lines, levels(level("A", 5n, 2n), level("B", 1n), level("C", 0n)))).toEqual({
      kind: "out_of_stock",
      shortages: [
        { sku: "A", available: 3n },
        { sku: "C", available: 0n },
      ],
    });
  });

  test("refuses a SKU of which no stock is kept, whatever else is short", () => {
    const lines = [
      { sku: "A", quantity: 4n },
      { sku: "X", quantity: 1n },
    ];
    expect(checkHold(lines, levels(level("A", 0n)))).toEqual({ kind: "unknown_sku", sku: "X" });
  });
});

describe("adjust", () => {
  test("never leaves fewer units than are held", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 100n), fc.bigInt(0n, 100n), fc.bigInt(-200n, 200n), (reserved, free, delta) => {
        const before = level("A", reserved + free, reserved);
        const after = adjust(before, delta);
        if ("kind" in after) expect(before.onHand + delta).toBeLessThan(reserved);
        else expect(available(after)).toBe(free + delta);
      }),
    );
  });
});

test.each([
  ["ACTIVE", { kind: "settle" }, { kind: "settle" }],
  ["COMMITTED", { kind: "unchanged" }, { kind: "refuse", because: "COMMITTED" }],
  ["RELEASED", { kind: "refuse", because: "RELEASED" }, { kind: "unchanged" }],
  ["EXPIRED", { kind: "refuse", because: "EXPIRED" }, { kind: "unchanged" }],
] as const)("a reservation that is %s is committed and released as its life allows", (state, commit, release) => {
  expect(planCommit(state)).toEqual(commit);
  expect(planRelease(state)).toEqual(release);
});

describe("planRestock", () => {
  const line = (sku: string, quantity: bigint, restockedQuantity = 0n) => ({ sku, quantity, restockedQuantity });

  test("takes back, in any number of parts, no more than was sold", () => {
    const parts = fc.array(fc.bigInt(1n, 5n), { maxLength: 10 });
    fc.assert(
      fc.property(fc.bigInt(1n, 12n), parts, (sold, wanted) => {
        let lines = [line("A", sold), line("B", 1n)];
        let back = 0n;
        for (const quantity of wanted) {
          const plan = planRestock({ state: "COMMITTED", lines }, [{ sku: "A", quantity }]);
          if (plan.kind === "restock") {
            lines = [...plan.after];
            back += quantity;
          } else expect(plan).toEqual({ kind: "quantity_too_large", sku: "A", restockable: sold - back });
        }
        expect(lines).toEqual([line("A", sold, back), line("B", 1n)]);
        expect(back).toBeLessThanOrEqual(sold);
      }),
    );
  });

  test.each(["ACTIVE", "RELEASED", "EXPIRED"] as const)("takes nothing back of one that is %s", (state) => {
    const plan = planRestock({ state, lines: [line("A", 2n)] }, [{ sku: "A", quantity: 1n }]);
    expect(plan).toEqual({ kind: "not_committed", state });
  });
});
