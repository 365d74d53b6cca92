import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addShipping, type CartItem, checkTotal, MAX_MINOR_UNITS, type Offer, priceCart } from "./domain-money.ts";

const packed = { weightGrams: 250, lengthMm: 120, widthMm: 80, heightMm: 60 };
const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const offer = (minorUnits: bigint, changes: Partial<Offer> = {}): Offer => ({
  title: "Motor",
  unitPrice: eur(minorUnits),
  purchasable: true,
  packed,
  ...changes,
});
const price = (items: readonly CartItem[], offers: Readonly<Record<string, Offer>>) =>
  priceCart(items, new Map(Object.entries(offers)), "EUR");

describe("pricing a cart", () => {
  it("multiplies each line and sums the lines", () => {
    const items = [
      { sku: "A", quantity: 3n },
      { sku: "B", quantity: 2n },
    ];
    expect(price(items, { A: offer(1_999n), B: offer(5n) })).toEqual({
      ok: true,
      value: {
        lines: [
          { sku: "A", title: "Motor", quantity: 3n, unitPrice: 1_999n, lineTotal: 5_997n, packed },
          { sku: "B", title: "Motor", quantity: 2n, unitPrice: 5n, lineTotal: 10n, packed },
        ],
        subtotal: eur(6_007n),
      },
    });
  });

  it.each([
    ["an empty cart", [], {}, { kind: "cart_empty" }],
    ["a SKU without an offer", [{ sku: "A", quantity: 1n }], {}, { kind: "unknown_sku", sku: "A" }],
    [
      "an offer that is off the shelf",
      [{ sku: "A", quantity: 1n }],
      { A: offer(1n, { purchasable: false }) },
      { kind: "not_for_sale", sku: "A" },
    ],
    [
      "a price in another currency",
      [{ sku: "A", quantity: 1n }],
      { A: offer(1n, { unitPrice: { currencyCode: "USD", minorUnits: 1n } }) },
      { kind: "foreign_price", currencyCode: "USD" },
    ],
    ["a negative price", [{ sku: "A", quantity: 1n }], { A: offer(-1n) }, { kind: "amount_out_of_range" }],
    ["a line of no units", [{ sku: "A", quantity: 0n }], { A: offer(1n) }, { kind: "amount_out_of_range" }],
    [
      "a line beyond int64",
      [{ sku: "A", quantity: 2n }],
      { A: offer(MAX_MINOR_UNITS / 2n + 1n) },
      { kind: "amount_out_of_range" },
    ],
  ])("refuses %s", (_what, items, offers, error) => {
    expect(price(items, offers)).toEqual({ ok: false, error });
  });

  it("takes a sum of exactly the most that an amount holds, and refuses one unit more", () => {
    const items = [
      { sku: "A", quantity: 1n },
      { sku: "B", quantity: 1n },
    ];
    const most = price(items, { A: offer(MAX_MINOR_UNITS - 7n), B: offer(7n) });
    expect(most).toMatchObject({ ok: true, value: { subtotal: eur(MAX_MINOR_UNITS) } });
    const more = price(items, { A: offer(MAX_MINOR_UNITS - 7n), B: offer(8n) });
    expect(more).toEqual({ ok: false, error: { kind: "amount_out_of_range" } });
  });

  it("is exact for any cart, or refuses it: never a wrapped, rounded or negative amount", () => {
    const line = fc.record({
      quantity: fc.bigInt({ min: 1n, max: 10_000n }),
      unitPrice: fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 12n }), fc.bigInt({ min: 0n, max: MAX_MINOR_UNITS })),
    });
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 100 }), (lines) => {
        const items = lines.map(({ quantity }, i) => ({ sku: `S${i}`, quantity }));
        const offers = new Map(lines.map(({ unitPrice }, i) => [`S${i}`, offer(unitPrice)]));
        const exact = lines.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0n);
        const priced = priceCart(items, offers, "EUR");
        expect(priced.ok).toBe(exact <= MAX_MINOR_UNITS);
        if (priced.ok) expect(priced.value.subtotal).toEqual(eur(exact));
      }),
    );
  });
});

describe("the total", () => {
  it("is subtotal and shipping, up to the most that an amount holds", () => {
    expect(addShipping(eur(1_000n), eur(490n))).toEqual({ ok: true, value: eur(1_490n) });
    expect(addShipping(eur(MAX_MINOR_UNITS - 490n), eur(490n))).toEqual({ ok: true, value: eur(MAX_MINOR_UNITS) });
    expect(addShipping(eur(MAX_MINOR_UNITS - 489n), eur(490n))).toMatchObject({
      error: { kind: "amount_out_of_range" },
    });
    expect(addShipping(eur(5n), eur(-1n))).toMatchObject({ error: { kind: "amount_out_of_range" } });
    expect(addShipping(eur(5n), { currencyCode: "USD", minorUnits: 1n })).toMatchObject({
      error: { kind: "foreign_price", currencyCode: "USD" },
    });
  });

  it("must be the expected one to the last unit, in the same currency", () => {
    expect(checkTotal(eur(1_490n), eur(1_490n)).ok).toBe(true);
    expect(checkTotal(eur(1_490n), eur(1_489n))).toEqual({
      ok: false,
      error: { kind: "price_changed", total: eur(1_490n) },
    });
    expect(checkTotal(eur(1_490n), { currencyCode: "USD", minorUnits: 1_490n })).toEqual({
      ok: false,
      error: { kind: "currency_mismatch", currencyCode: "EUR" },
    });
  });
});
