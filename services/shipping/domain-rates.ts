import type { Distance, Tariff } from "./domain-network.ts";
import type { GoodsLine } from "./domain-packing.ts";

/** A way to send certain goods. */
export interface Offer extends Pick<Tariff, "speed" | "title" | "minDays" | "maxDays"> {
  readonly price: bigint;
}

type Measured = Pick<GoodsLine, "quantity" | "weightGrams" | "lengthMm" | "widthMm" | "heightMm">;

const MM3_PER_LITRE = 1_000_000n;

/**
 * What the tariffs of a distance ask for these goods: the cheapest first, of equal prices the quickest. None when no
 * tariff goes there. `subtotal` is what the goods cost.
 */
export function offersFor(
  goods: { readonly lines: readonly Measured[]; readonly subtotal: bigint },
  distance: Distance,
  tariffs: readonly Tariff[],
): readonly Offer[] {
  return tariffs
    .filter((tariff) => tariff.distance === distance)
    .map((tariff) => {
      const { speed, title, minDays, maxDays, freeFromSubtotal } = tariff;
      const free = freeFromSubtotal !== undefined && goods.subtotal >= freeFromSubtotal;
      return { speed, title, minDays, maxDays, price: free ? 0n : priceOf(tariff, goods.lines) };
    })
    .toSorted(byPrice);
}

/** What a tariff asks for these goods. Exact up to its one rounding: a step that is begun is paid as a whole. */
export function priceOf(tariff: Tariff, lines: readonly Measured[]): bigint {
  const { basePrice, stepPrice } = tariff;
  // In grams × mm³ per litre, so that volume needs no division.
  const beyond = chargeable(tariff, lines) - BigInt(tariff.includedGrams) * MM3_PER_LITRE;
  if (beyond <= 0n) return basePrice;
  const step = BigInt(tariff.stepGrams) * MM3_PER_LITRE;
  return basePrice + ((beyond + step - 1n) / step) * stepPrice;
}

/** The greater of weight and of what the volume counts for, in grams × mm³ per litre. */
function chargeable({ gramsPerLitre }: Tariff, lines: readonly Measured[]): bigint {
  let grams = 0n;
  let mm3 = 0n;
  for (const { quantity, weightGrams, lengthMm, widthMm, heightMm } of lines) {
    grams += quantity * BigInt(weightGrams);
    mm3 += quantity * BigInt(lengthMm) * BigInt(widthMm) * BigInt(heightMm);
  }
  const byWeight = grams * MM3_PER_LITRE;
  const byVolume = mm3 * BigInt(gramsPerLitre);
  return byWeight > byVolume ? byWeight : byVolume;
}

function byPrice(a: Offer, b: Offer): number {
  if (a.price !== b.price) return a.price < b.price ? -1 : 1;
  return a.maxDays - b.maxDays || a.minDays - b.minDays || (a.speed < b.speed ? -1 : 1);
}
