import { Speed } from "#gen/shop/shipping/v1/shipment.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Money, Packed } from "./domain-money.ts";
import type { Address, ShippingOption } from "./domain-order.ts";

/** Goods as they are sent. */
export interface Goods {
  readonly sku: string;
  readonly quantity: bigint;
  readonly packed: Packed;
}

/** A price of shipping's for sending certain goods to a certain destination. */
export interface OfferedRate {
  /** Shipping's proof of it. */
  readonly rateId: string;
  /** Its id is what an order keeps of it: `standard` or `express`. */
  readonly option: ShippingOption;
  readonly expireTime: Date;
}

/** Why goods cannot be sent. */
export type SendingError =
  | { readonly kind: "destination_not_served"; readonly countryCode: string; readonly postalCode: string }
  | { readonly kind: "goods_too_large"; readonly sku: string };

/** What sending costs, in every way, the cheapest first: one call to shipping. */
export async function quoteRates(
  shipping: Client<typeof ShippingService>,
  parcel: { readonly goods: readonly Goods[]; readonly subtotal: Money; readonly address: Address },
  call: Call,
): Promise<Result<readonly OfferedRate[], SendingError>> {
  const { goods, subtotal, address } = parcel;
  const lines = goods.map(({ sku, quantity, packed }) => ({ sku, quantity, ...packed }));
  const quoted = await shipping.try.quoteRates({ address, lines, subtotal }, call);
  if (!quoted.ok) {
    const { reason, metadata } = quoted.error;
    const { countryCode, postalCode } = address;
    if (reason === "DESTINATION_NOT_SERVED") return fail({ kind: "destination_not_served", countryCode, postalCode });
    if (reason === "GOODS_TOO_LARGE") return fail({ kind: "goods_too_large", sku: metadata.sku ?? "" });
    throw quoted.error;
  }
  return ok(
    quoted.value.rates.map(({ id: rateId, title, speed, price, minDays, maxDays, expireTime }) => {
      if (price === undefined || expireTime === undefined) throw new Error("Shipping gave a rate that is not whole.");
      const id = speed === Speed.EXPRESS ? "express" : "standard";
      return { rateId, option: { id, title, price, minDays, maxDays }, expireTime };
    }),
  );
}
