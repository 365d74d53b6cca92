import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GoodsLine, MAX_PARCELS, type PackedParcel, packGoods } from "./domain-packing.ts";
import { smallNetwork } from "./testing/network.ts";

const line = (sku: string, quantity: bigint, weightGrams: number, sides: readonly number[] = []): GoodsLine => {
  const [lengthMm = 0, widthMm = 0, heightMm = 0] = sides;
  return { sku, quantity, weightGrams, lengthMm, widthMm, heightMm };
};
const pack = (lines: readonly GoodsLine[]) => packGoods(lines, "REGION", smallNetwork);

describe("packing", () => {
  it("fills a parcel before it begins another", () => {
    const parcels = packed(pack([line("MOTOR", 5n, 10_000), line("CABLE", 3n, 200)]));
    expect(parcels.map(({ lines, weightGrams }) => ({ lines, weightGrams }))).toEqual([
      { lines: [{ sku: "MOTOR", quantity: 3n }], weightGrams: 30_000 },
      {
        lines: [
          { sku: "MOTOR", quantity: 2n },
          { sku: "CABLE", quantity: 3n },
        ],
        weightGrams: 20_600,
      },
    ]);
  });

  it("gives a unit beyond a parcel's limits one of its own", () => {
    const heavy = packed(pack([line("PRESS", 2n, 90_000), line("CABLE", 1n, 200)]));
    expect(heavy.map(({ lines }) => lines.map(({ sku }) => sku))).toEqual([["PRESS"], ["PRESS"], ["CABLE"]]);
    const long = packed(pack([line("RAIL", 1n, 500, [40, 2_900, 400]), line("CABLE", 1n, 200)]));
    expect(long.map(({ lengthMm }) => lengthMm)).toEqual([2_900, 0]);
  });

  it.each([
    ["too heavy", line("PRESS", 1n, 400_001)],
    ["too long", line("RAIL", 1n, 500, [3_001, 10, 10])],
    ["too large", line("TANK", 1n, 500, [2_000, 2_000, 2_000])],
  ])("refuses a unit that is %s for every vehicle, and names it", (_, unit) => {
    expect(pack([line("CABLE", 1n, 200), unit])).toEqual({
      ok: false,
      error: { kind: "goods_too_large", sku: unit.sku },
    });
  });

  it("refuses what fills more parcels than a shipment has", () => {
    expect(packed(pack([line("PRESS", BigInt(MAX_PARCELS), 40_000)]))).toHaveLength(MAX_PARCELS);
    expect(pack([line("PRESS", BigInt(MAX_PARCELS + 1), 40_000)])).toMatchObject({ ok: false });
  });

  it("packs every unit once, within the limits, and the same in any order", () => {
    const unit = fc.record({
      quantity: fc.bigInt({ min: 1n, max: 40n }),
      weightGrams: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 60_000 })),
      lengthMm: fc.integer({ min: 0, max: 900 }),
      widthMm: fc.integer({ min: 0, max: 900 }),
      heightMm: fc.integer({ min: 0, max: 900 }),
    });
    const goods = fc
      .array(unit, { minLength: 1, maxLength: 8 })
      .map((units) => units.map((one, at): GoodsLine => ({ sku: `SKU-${at}`, ...one })));
    fc.assert(
      fc.property(goods, (lines) => {
        const result = pack(lines);
        expect(pack(lines.toReversed())).toEqual(result);
        if (!result.ok) return;
        for (const { sku, quantity } of lines) expect(unitsOf(sku, result.value)).toBe(quantity);
        for (const parcel of result.value) expect(isWithinLimits(parcel, lines)).toBe(true);
      }),
    );
  });
});

function packed(result: ReturnType<typeof pack>): readonly PackedParcel[] {
  return result.ok ? result.value : expect.fail(`not packed: ${result.error.sku}`);
}

function unitsOf(sku: string, parcels: readonly PackedParcel[]): bigint {
  const lines = parcels.flatMap((parcel) => parcel.lines).filter((one) => one.sku === sku);
  return lines.reduce((sum, { quantity }) => sum + quantity, 0n);
}

/** The weight is that of what is in it; and it is one unit, or not more than a parcel holds. */
function isWithinLimits(parcel: PackedParcel, goods: readonly GoodsLine[]): boolean {
  const weights = parcel.lines.map(({ sku, quantity }) => {
    const unit = goods.find((one) => one.sku === sku);
    return Number(quantity) * (unit?.weightGrams ?? Number.NaN);
  });
  const weightGrams = weights.reduce((sum, weight) => sum + weight, 0);
  const units = parcel.lines.reduce((sum, { quantity }) => sum + quantity, 0n);
  const { maxParcelGrams, maxParcelMl } = smallNetwork.settings;
  const ordinary = parcel.weightGrams <= maxParcelGrams && parcel.volumeMl <= maxParcelMl;
  return weightGrams === parcel.weightGrams && (units === 1n || ordinary);
}
