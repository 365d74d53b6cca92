import type { Clock } from "#mesh/clock.ts";
import { type SealedValues, sealedValues } from "#mesh/sealed-value.ts";
import type { OpenedRate, OpenRate, RatedGoods } from "./deps.ts";
import type { GoodsLine } from "./domain-packing.ts";
import type { Offer } from "./domain-rates.ts";

/** How long a rate can be chosen, as the contract says. */
const RATE_LIFETIME_MS = 30 * 60_000;

/** Rates are not kept: the id of one carries what was quoted, and is proof of it. */
export interface Rates {
  /** The id of an offer for these goods, from now on. */
  seal(goods: RatedGoods, offer: Offer & { readonly currencyCode: string }): SealedRate;
  readonly open: OpenRate;
}

export interface SealedRate {
  readonly id: string;
  readonly expireTime: Date;
}

// Short, for an id goes through two services and into a database. Another form of it is another version.
type Sealed = readonly [
  goods: string,
  speed: OpenedRate["speed"],
  minDays: number,
  maxDays: number,
  minorUnits: string,
  currencyCode: string,
];

/** Seals and opens rates under the service's key; see `sealingKey`. */
export function createRates({ key, clock }: { readonly key: Uint8Array; readonly clock: Clock }): Rates {
  const seals: SealedValues<Sealed> = sealedValues<Sealed>({ key, kind: "rate", version: 1 });
  // Of an address, what the price depends on. So a name may still be put right, and nothing personal is in an id.
  const digestOf = ({ lines, address: { countryCode, postalCode } }: RatedGoods): string =>
    seals.digest([countryCode, postalCode, lines.toSorted(bySku).map(measuresOf)]);
  return {
    seal: (goods, { speed, minDays, maxDays, price, currencyCode }) => {
      const expireTime = new Date(clock.now().getTime() + RATE_LIFETIME_MS);
      const value = [digestOf(goods), speed, minDays, maxDays, String(price), currencyCode] as const;
      return { id: seals.seal(value, expireTime), expireTime };
    },
    open: (rateId, goods) => {
      const opened = seals.open(rateId, clock.now());
      // Whether it was chosen in time was looked at when it was chosen.
      const value = opened.ok ? opened.value : opened.error.kind === "expired" ? opened.error.value : undefined;
      if (value === undefined) return undefined;
      const [digest, speed, , maxDays] = value;
      return digest === digestOf(goods) ? { speed, maxDays } : undefined;
    },
  };
}

function measuresOf({ sku, quantity, weightGrams, lengthMm, widthMm, heightMm }: GoodsLine) {
  return [sku, String(quantity), weightGrams, lengthMm, widthMm, heightMm] as const;
}

function bySku(a: GoodsLine, b: GoodsLine): number {
  return a.sku < b.sku ? -1 : 1;
}
