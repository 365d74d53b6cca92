import { fail, ok, type Result } from "#mesh/result.ts";
import type { Distance, Network, SortingRule, SortingSettings } from "./domain-network.ts";

/** Units of one SKU that are to be sent. A side of 0 is one that is not known, and counts for nothing. */
export interface GoodsLine {
  readonly sku: string;
  readonly quantity: bigint;
  readonly weightGrams: number;
  readonly lengthMm: number;
  readonly widthMm: number;
  readonly heightMm: number;
}

/** What a vehicle must carry. */
export interface Load {
  readonly weightGrams: number;
  readonly volumeMl: number;
  /** Its longest side, as far as sizes are known. */
  readonly lengthMm: number;
}

export interface ParcelLine {
  readonly sku: string;
  readonly quantity: bigint;
}

/** One box, planned. */
export interface PackedParcel extends Load {
  readonly lines: readonly ParcelLine[];
}

/** No vehicle carries one unit of it, or all that is ordered fills more than `MAX_PARCELS`. */
export interface GoodsTooLarge {
  readonly kind: "goods_too_large";
  readonly sku: string;
}

/** How many parcels a shipment has at most. */
export const MAX_PARCELS = 200;

const MM3_PER_ML = 1_000;

/**
 * Puts goods into parcels for a zone at this distance: first fit decreasing
 * (https://en.wikipedia.org/wiki/First-fit-decreasing_bin_packing), where a unit's size is the greater of its shares of a
 * parcel's weight and volume. A unit beyond the limits of a parcel is one of its own. The same whatever the lines' order.
 */
export function packGoods(
  lines: readonly GoodsLine[],
  distance: Distance,
  { settings, rules }: Pick<Network, "settings" | "rules">,
): Result<readonly PackedParcel[], GoodsTooLarge> {
  const boxes: Box[] = [];
  for (const unit of lines.map(unitOf).toSorted((a, b) => decreasing(a, b, settings))) {
    if (ruleFor(loadOf(unit), distance, rules) === undefined) return fail({ kind: "goods_too_large", sku: unit.sku });
    const own = isBulky(unit, settings);
    let left = unit.quantity;
    for (const box of own ? [] : boxes) {
      if (left === 0) break;
      left -= put(box, unit, Math.min(left, roomFor(unit, box, settings)));
    }
    while (left > 0) {
      if (boxes.length === MAX_PARCELS) return fail({ kind: "goods_too_large", sku: unit.sku });
      const box: Box = { lines: new Map(), weightGrams: 0, volumeMm3: 0, lengthMm: 0, closed: own };
      boxes.push(box);
      left -= put(box, unit, own ? 1 : Math.min(left, roomFor(unit, box, settings)));
    }
  }
  return ok(boxes.map(({ lines: packed, ...box }) => ({ ...loadOf(box), lines: [...packed].map(lineOf) })));
}

/** The rule by which a parcel of this load goes to an address at this distance; undefined when no vehicle takes it. */
export function ruleFor(load: Load, distance: Distance, rules: readonly SortingRule[]): SortingRule | undefined {
  return rules.find(
    (rule) =>
      rule.distances.includes(distance) &&
      load.weightGrams <= rule.maxWeightGrams &&
      load.volumeMl <= rule.maxVolumeMl &&
      load.lengthMm <= rule.maxLengthMm,
  );
}

interface Unit {
  readonly sku: string;
  readonly quantity: number;
  readonly weightGrams: number;
  readonly volumeMm3: number;
  readonly lengthMm: number;
  readonly girthMm: number;
}

interface Box {
  readonly lines: Map<string, number>;
  weightGrams: number;
  volumeMm3: number;
  lengthMm: number;
  /** Whether nothing else goes in. */
  readonly closed: boolean;
}

function unitOf({ sku, quantity, weightGrams, ...sides }: GoodsLine): Unit {
  const [length = 0, width = 0, height = 0] = [sides.lengthMm, sides.widthMm, sides.heightMm].toSorted((a, b) => b - a);
  return {
    sku,
    quantity: Number(quantity),
    weightGrams,
    volumeMm3: length * width * height,
    lengthMm: length,
    girthMm: length + 2 * (width + height),
  };
}

function loadOf(measures: Pick<Unit, "weightGrams" | "volumeMm3" | "lengthMm">): Load {
  const { weightGrams, volumeMm3, lengthMm } = measures;
  return { weightGrams, volumeMl: Math.ceil(volumeMm3 / MM3_PER_ML), lengthMm };
}

function lineOf([sku, quantity]: readonly [string, number]): ParcelLine {
  return { sku, quantity: BigInt(quantity) };
}

function decreasing(a: Unit, b: Unit, settings: SortingSettings): number {
  const size = ({ weightGrams, volumeMm3 }: Unit): number =>
    Math.max(weightGrams / settings.maxParcelGrams, volumeMm3 / (settings.maxParcelMl * MM3_PER_ML));
  return size(b) - size(a) || (a.sku < b.sku ? -1 : 1);
}

function isBulky({ weightGrams, volumeMm3, girthMm }: Unit, settings: SortingSettings): boolean {
  return (
    weightGrams > settings.maxParcelGrams ||
    volumeMm3 > settings.maxParcelMl * MM3_PER_ML ||
    girthMm > settings.maxGirthMm
  );
}

/** How many more units a box takes; infinitely many of what has neither weight nor size. */
function roomFor({ weightGrams, volumeMm3 }: Unit, box: Box, { maxParcelGrams, maxParcelMl }: SortingSettings): number {
  if (box.closed) return 0;
  const byWeight = weightGrams === 0 ? Infinity : Math.floor((maxParcelGrams - box.weightGrams) / weightGrams);
  const byVolume = volumeMm3 === 0 ? Infinity : Math.floor((maxParcelMl * MM3_PER_ML - box.volumeMm3) / volumeMm3);
  return Math.min(byWeight, byVolume);
}

function put(box: Box, unit: Unit, quantity: number): number {
  if (quantity === 0) return 0;
  box.lines.set(unit.sku, (box.lines.get(unit.sku) ?? 0) + quantity);
  box.weightGrams += quantity * unit.weightGrams;
  box.volumeMm3 += quantity * unit.volumeMm3;
  box.lengthMm = Math.max(box.lengthMm, unit.lengthMm);
  return quantity;
}
