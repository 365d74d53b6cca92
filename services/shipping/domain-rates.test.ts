import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Tariff } from "./domain-network.ts";
import type { GoodsLine } from "./domain-packing.ts";
import { offersFor, priceOf } from "./domain-rates.ts";

/** 4.90 for up to 5 kg, 0.50 for each kg beyond that is begun; a litre counts for 200 g. */
const tariff: Tariff = {
  distance: "REGION",
  speed: "STANDARD",
  title: "Standard",
  basePrice: 490n,
  includedGrams: 5_000,
  stepPrice: 50n,
  stepGrams: 1_000,
  gramsPerLitre: 200,
  freeFromSubtotal: 15_000n,
  minDays: 2,
  maxDays: 4,
};
const express: Tariff = {
  ...tariff,
  ...{ speed: "EXPRESS", title: "Express", basePrice: 1_290n, freeFromSubtotal: undefined, minDays: 1, maxDays: 1 },
};

const line = (quantity: bigint, weightGrams: number, sides: readonly number[] = []): GoodsLine => {
  const [lengthMm = 0, widthMm = 0, heightMm = 0] = sides;
  return { sku: "A", quantity, weightGrams, lengthMm, widthMm, heightMm };
};

describe("the price of sending", () => {
  it.each([
    ["nothing that weighs anything", [line(1n, 0)], 490n],
    ["what is included", [line(2n, 2_500)], 490n],
    ["one gram more: a step that is begun counts", [line(2n, 2_500), line(1n, 1)], 540n],
    ["a whole step more", [line(6n, 1_000)], 540n],
    ["a step and a gram more", [line(6n, 1_000), line(1n, 1)], 590n],
    ["30 kg", [line(30n, 1_000)], 490n + 25n * 50n],
    ["25 litres that weigh little, which count for 5 kg", [line(1n, 100, [500, 500, 100])], 490n],
    ["a cubic millimetre more", [line(1n, 100, [500, 500, 100]), line(1n, 0, [1, 1, 1])], 540n],
    ["50 litres of 8 kg, where the volume decides", [line(1n, 8_000, [500, 500, 200])], 490n + 5n * 50n],
    ["50 litres of 12 kg, where the weight decides", [line(1n, 12_000, [500, 500, 200])], 490n + 7n * 50n],
    ["goods of unknown size, which counts for nothing", [line(1n, 5_000, [3_000, 3_000, 0])], 490n],
    ["the most that a request can ask for", [line(10_000n, 1_000_000, [1, 1, 1])], 490n + 9_999_995n * 50n],
  ])("of %s", (_, lines, price) => expect(priceOf(tariff, lines)).toBe(price));

  const goods = fc.array(
    fc.record({
      sku: fc.constant("A"),
      quantity: fc.bigInt({ min: 1n, max: 10_000n }),
      weightGrams: fc.oneof(fc.nat(2_000), fc.nat(1_000_000)),
      lengthMm: fc.oneof(fc.nat(400), fc.nat(100_000)),
      widthMm: fc.oneof(fc.nat(400), fc.nat(100_000)),
      heightMm: fc.oneof(fc.nat(400), fc.nat(100_000)),
    }),
    { minLength: 1, maxLength: 6 },
  );
  const tariffs = fc.record({
    basePrice: fc.bigInt({ min: 0n, max: 10_000n }),
    includedGrams: fc.nat(10_000),
    stepPrice: fc.bigInt({ min: 0n, max: 1_000n }),
    stepGrams: fc.integer({ min: 1, max: 10_000 }),
    gramsPerLitre: fc.nat(400),
  });

  it("is never less than the base, nor less for more: units, weight, size or lines", () => {
    const more = fc.record({
      quantity: fc.bigInt({ min: 0n, max: 9n }),
      weightGrams: fc.nat(5_000),
      side: fc.nat(500),
    });
    fc.assert(
      fc.property(tariffs, goods, goods, more, (changes, lines, others, grown) => {
        const changed = { ...tariff, ...changes };
        const price = priceOf(changed, lines);
        expect(price).toBeGreaterThanOrEqual(changed.basePrice);
        const [first, ...rest] = lines;
        if (first === undefined) throw new Error("at least one line");
        const larger = {
          ...first,
          quantity: first.quantity + grown.quantity,
          weightGrams: first.weightGrams + grown.weightGrams,
          heightMm: first.heightMm + grown.side,
        };
        expect(priceOf(changed, [larger, ...rest])).toBeGreaterThanOrEqual(price);
        expect(priceOf(changed, [...lines, ...others])).toBeGreaterThanOrEqual(price);
      }),
    );
  });

  it("is rounded once: less than one step above the exact price, however the goods are split into lines", () => {
    fc.assert(
      fc.property(tariffs, goods, (changes, lines) => {
        const changed = { ...tariff, ...changes };
        const price = priceOf(changed, lines);
        const split = lines.flatMap((one) => [
          { ...one, quantity: one.quantity / 2n },
          { ...one, quantity: one.quantity - one.quantity / 2n },
        ]);
        expect(priceOf(changed, split.toReversed())).toBe(price);
        // The exact price, without rounding, as a fraction: above it by less than a step, and never below it.
        const grams = lines.reduce((sum, one) => sum + one.quantity * BigInt(one.weightGrams), 0n);
        const mm3 = lines.reduce(
          (sum, one) => sum + one.quantity * BigInt(one.lengthMm) * BigInt(one.widthMm) * BigInt(one.heightMm),
          0n,
        );
        const byVolume = mm3 * BigInt(changed.gramsPerLitre);
        const weighs = grams * 1_000_000n > byVolume ? grams * 1_000_000n : byVolume;
        const beyond = weighs - BigInt(changed.includedGrams) * 1_000_000n;
        const exact = beyond > 0n ? beyond * changed.stepPrice : 0n;
        const step = BigInt(changed.stepGrams) * 1_000_000n;
        const over = (price - changed.basePrice) * step - exact;
        expect(over).toBeGreaterThanOrEqual(0n);
        expect(over < step * changed.stepPrice || over === 0n).toBe(true);
      }),
    );
  });
});

describe("the offers for a distance", () => {
  const prices = (subtotal: bigint, lines = [line(1n, 250)]) =>
    offersFor({ lines, subtotal }, "REGION", [express, tariff]).map(({ speed, price }) => [speed, price]);

  it("come cheapest first, with the tariff's days", () => {
    expect(offersFor({ lines: [line(1n, 6_001)], subtotal: 1_000n }, "REGION", [express, tariff])).toEqual([
      { speed: "STANDARD", title: "Standard", price: 590n, minDays: 2, maxDays: 4 },
      { speed: "EXPRESS", title: "Express", price: 1_390n, minDays: 1, maxDays: 1 },
    ]);
  });

  it.each([
    [14_999n, 490n],
    [15_000n, 0n],
    [15_001n, 0n],
  ])("of goods for %d ask %d for standard, and express is never free", (subtotal, price) => {
    expect(prices(subtotal)).toEqual([
      ["STANDARD", price],
      ["EXPRESS", 1_290n],
    ]);
  });

  it("come quickest first when they cost the same", () => {
    const free = { ...express, freeFromSubtotal: 15_000n };
    const offers = offersFor({ lines: [line(1n, 250)], subtotal: 15_000n }, "REGION", [tariff, free]);
    expect(offers.map(({ speed }) => speed)).toEqual(["EXPRESS", "STANDARD"]);
  });

  it("are none where no tariff goes", () => {
    expect(offersFor({ lines: [line(1n, 250)], subtotal: 1n }, "EUROPE", [express, tariff])).toEqual([]);
  });
});
