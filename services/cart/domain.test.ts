import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addUnits,
  cartIdOf,
  type Line,
  MAX_LINES,
  MAX_QUANTITY,
  merge,
  type Offer,
  ownerIdOf,
  priceCart,
  setUnits,
  takeOut,
} from "./domain.ts";

const full: readonly Line[] = Array.from({ length: MAX_LINES }, (_, at) => ({ sku: `S${at}`, quantity: 1n }));
const line = (sku: string, quantity: bigint): Line => ({ sku, quantity });
const offer = (minorUnits: bigint, purchasable = true): Offer => ({
  title: "Thing",
  purchasable,
  unitPrice: { currencyCode: "EUR", minorUnits },
});

test("everybody has one cart, whose id is made from theirs", () => {
  expect(cartIdOf("usr_01abc")).toBe("cart_01abc");
  expect(ownerIdOf(cartIdOf("usr_01abc"))).toBe("usr_01abc");
});

describe("addUnits", () => {
  test("adds up with what is there", () => {
    expect(addUnits([line("A", 2n)], line("A", 3n))).toEqual(line("A", 5n));
  });
  test("refuses the line after the last, and admits more units of one that is there", () => {
    expect(addUnits(full, line("NEW", 1n))).toEqual({ kind: "cart_full" });
    expect(addUnits(full, line("S7", 1n))).toEqual(line("S7", 2n));
  });
  test("refuses more units than a line holds, and says how many there are", () => {
    expect(addUnits([line("A", MAX_QUANTITY)], line("A", 1n))).toEqual({
      kind: "quantity_limit",
      sku: "A",
      quantity: MAX_QUANTITY,
    });
  });
});

test("units are set only where there is a line", () => {
  expect(setUnits([line("A", 1n)], line("A", 9n))).toEqual(line("A", 9n));
  expect(setUnits([], line("A", 9n))).toEqual({ kind: "item_not_found", sku: "A" });
});

test("what was put in while an order was under way stays when the ordered units are taken out", () => {
  const lines = [line("A", 5n), line("B", 1n), line("C", 2n)];
  expect(takeOut(lines, [line("A", 3n), line("B", 1n), line("X", 1n)])).toEqual({
    write: [line("A", 2n)],
    remove: ["B"],
  });
});

describe("merge", () => {
  const lines = fc
    .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 150 }), fc.bigInt(1n, MAX_QUANTITY)), {
      selector: ([sku]) => sku,
      maxLength: MAX_LINES,
    })
    .map((pairs) => pairs.map(([sku, quantity]) => line(`S${sku}`, quantity)));

  test("loses no unit, overfills no cart, and names what is left for want of room", () => {
    fc.assert(
      fc.property(lines, lines, (own, guest) => {
        const { write, moved, keep, left } = merge(own, guest);
        expect([...moved, ...left].sort()).toEqual(guest.map(({ sku }) => sku).sort());
        const after = new Map([...own, ...write].map(({ sku, quantity }) => [sku, quantity]));
        const guestAfter = new Map([...guest, ...keep].map(({ sku, quantity }) => [sku, quantity]));
        for (const sku of moved) guestAfter.delete(sku);
        const unitsOf = (sku: string, cart: readonly { readonly sku: string; readonly quantity: bigint }[]) =>
          cart.find((one) => one.sku === sku)?.quantity ?? 0n;
        for (const { sku, quantity } of guest) {
          expect((after.get(sku) ?? 0n) + (guestAfter.get(sku) ?? 0n)).toBe(quantity + unitsOf(sku, own));
        }
        expect(after.size).toBeLessThanOrEqual(MAX_LINES);
        for (const quantity of after.values()) expect(quantity).toBeLessThanOrEqual(MAX_QUANTITY);
        for (const sku of left) expect(after.get(sku) === MAX_QUANTITY || after.size === MAX_LINES).toBe(true);
        expect([...guestAfter.keys()].sort()).toEqual([...left].sort());
        expect(keep.every(({ quantity }) => quantity > 0n)).toBe(true);
      }),
    );
  });

  test("moves units up to a line's limit", () => {
    expect(merge([line("A", 9_000n), line("B", MAX_QUANTITY)], [line("A", 9_000n), line("B", 1n)])).toEqual({
      write: [line("A", MAX_QUANTITY)],
      moved: [],
      keep: [line("A", 8_000n)],
      left: ["A", "B"],
    });
  });
});

describe("priceCart", () => {
  test("counts what is for sale, and shows without a price what is not", () => {
    const offers = new Map([
      ["A", offer(1999n)],
      ["B", offer(500n, false)],
    ]);
    const cart = priceCart([line("A", 3n), line("B", 1n), line("GONE", 1n)], offers, "EUR");
    expect(cart.subtotal).toEqual({ currencyCode: "EUR", minorUnits: 5997n });
    expect(cart.lines.map(({ price }) => price?.total.minorUnits)).toEqual([5997n, undefined, undefined]);
  });
  test("the dearest cart there can be stays within int64", () => {
    const lines = full.map(({ sku }) => line(sku, MAX_QUANTITY));
    const offers = new Map(lines.map(({ sku }) => [sku, offer(1_000_000_000n)]));
    expect(priceCart(lines, offers, "EUR").subtotal.minorUnits).toBeLessThan(2n ** 63n);
  });
});
