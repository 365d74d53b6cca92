import { fail, ok, type Result } from "#mesh/result.ts";
import { type SealedValues, sealedValues } from "#mesh/sealed-value.ts";
import type { Address, ShippingOption } from "./domain-order.ts";
import type { Goods, OfferedRate } from "./shipping.ts";

/** What an option is good for. */
export interface Sending {
  readonly customerId: string;
  readonly goods: readonly Goods[];
  /** What sending costs depends on the country and the postal code; the rest may still be put right. */
  readonly address: Pick<Address, "countryCode" | "postalCode">;
}

/** What was chosen. */
export interface ChosenOption {
  readonly rateId: string;
  readonly option: ShippingOption;
}

/** Why an option cannot be chosen. */
export type ChoiceError =
  | { readonly kind: "shipping_option_not_found"; readonly shippingOptionId: string; readonly expireTime?: Date }
  | { readonly kind: "goods_changed" };

/**
 * The ids of quoted ways to send a cart. Nothing is kept of them: an id carries what was quoted, so PlaceOrder honours
 * it without asking anybody.
 */
export interface ShippingOptions {
  /** The id of an offered rate. */
  seal(sending: Sending, rate: OfferedRate): string;
  /** What an id stands for, when it was given for this and is still good. */
  open(shippingOptionId: string, sending: Sending, now: Date): Result<ChosenOption, ChoiceError>;
}

// Another form of it is another version.
type Sealed = readonly [
  whose: string,
  goods: string,
  rateId: string,
  id: string,
  title: string,
  minorUnits: string,
  currencyCode: string,
  minDays: number,
  maxDays: number,
];

/** Seals and opens ids under the service's key; see `sealingKey`. */
export function createShippingOptions(key: Uint8Array): ShippingOptions {
  const seals: SealedValues<Sealed> = sealedValues<Sealed>({ key, kind: "option", version: 1 });
  const whoseOf = ({ customerId, address }: Sending): string =>
    seals.digest([customerId, address.countryCode, address.postalCode]);
  const goodsOf = ({ goods }: Sending): string => seals.digest(goods.toSorted(bySku).map(measuresOf));
  return {
    seal: (sending, { rateId, option, expireTime }) => {
      const { id, title, price, minDays, maxDays } = option;
      const terms = [id, title, String(price.minorUnits), price.currencyCode, minDays, maxDays] as const;
      return seals.seal([whoseOf(sending), goodsOf(sending), rateId, ...terms], expireTime);
    },
    open: (shippingOptionId, sending, now) => {
      const opened = seals.open(shippingOptionId, now);
      if (!opened.ok) {
        const { error } = opened;
        const isTheirs = error.kind === "expired" && error.value[0] === whoseOf(sending);
        const known = isTheirs ? { expireTime: error.expireTime } : {};
        return fail({ kind: "shipping_option_not_found", shippingOptionId, ...known });
      }
      const [whose, goods, rateId, id, title, minorUnits, currencyCode, minDays, maxDays] = opened.value;
      if (whose !== whoseOf(sending)) return fail({ kind: "shipping_option_not_found", shippingOptionId });
      if (goods !== goodsOf(sending)) return fail({ kind: "goods_changed" });
      const price = { currencyCode, minorUnits: BigInt(minorUnits) };
      return ok({ rateId, option: { id, title, price, minDays, maxDays } });
    },
  };
}

function measuresOf({ sku, quantity, packed: { weightGrams, lengthMm, widthMm, heightMm } }: Goods) {
  return [sku, String(quantity), weightGrams, lengthMm, widthMm, heightMm] as const;
}

function bySku(a: Goods, b: Goods): number {
  return a.sku < b.sku ? -1 : 1;
}
