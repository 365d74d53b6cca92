import type { Call } from "#mesh/rpc/call.ts";
import type { Money } from "./domain-money.ts";
import type { Address, ShippingOption } from "./domain-order.ts";

/** What is to be sent, and where. */
export interface Parcel {
  readonly lines: readonly { readonly sku: string; readonly quantity: bigint; readonly weightGrams: number }[];
  readonly subtotal: Money;
  readonly address: Address;
}

/** The ways to send a parcel. A port: flat rates for now, the shipping service in time. */
export interface ShippingRates {
  /** Every way to send it, the cheapest first; none when it cannot be sent there. Prices are in the subtotal's currency. */
  quote(parcel: Parcel, call: Call): Promise<readonly ShippingOption[]>;
}

const FLAT_PRICE = 490n;
const FREE_FROM_SUBTOTAL = 15_000n;

/** One way for everything and everywhere: 4.90, and nothing from a subtotal of 150.00 on. */
export function flatRates(): ShippingRates {
  return {
    quote: async ({ subtotal: { currencyCode, minorUnits } }) => [
      {
        id: "standard",
        title: "Standard",
        price: { currencyCode, minorUnits: minorUnits >= FREE_FROM_SUBTOTAL ? 0n : FLAT_PRICE },
        minDays: 2,
        maxDays: 4,
      },
    ],
  };
}
