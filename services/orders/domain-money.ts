import { fail, ok, type Result } from "./domain-result.ts";

/** The most that an amount can hold: it travels, and is stored, as a signed 64-bit integer. */
export const MAX_MINOR_UNITS = 2n ** 63n - 1n;

/** An amount in the currency's smallest unit. */
export interface Money {
  readonly currencyCode: string;
  readonly minorUnits: bigint;
}

/** What a cart says of one line. */
export interface CartItem {
  readonly sku: string;
  readonly quantity: bigint;
}

/** One unit as it is sent. */
export interface Packed {
  readonly weightGrams: number;
  /** The longest side; 0, as the others, where the size is not known. */
  readonly lengthMm: number;
  readonly widthMm: number;
  readonly heightMm: number;
}

/** What the catalogue says of one SKU. */
export interface Offer {
  readonly title: string;
  readonly unitPrice: Money;
  readonly purchasable: boolean;
  readonly packed: Packed;
}

/** One line with its price: `lineTotal = quantity × unitPrice`, in the shop's currency. */
export interface PricedLine {
  readonly sku: string;
  readonly title: string;
  readonly quantity: bigint;
  readonly unitPrice: bigint;
  readonly lineTotal: bigint;
  readonly packed: Packed;
}

export interface PricedCart {
  readonly lines: readonly PricedLine[];
  readonly subtotal: Money;
}

/** Why a cart has no price. */
export type PricingError =
  | { readonly kind: "cart_empty" }
  | { readonly kind: "unknown_sku"; readonly sku: string }
  | { readonly kind: "not_for_sale"; readonly sku: string }
  | AmountError;

/** A price that no order can be made of. The catalogue's rules let none through; nothing is rounded or cut here. */
export type AmountError =
  | { readonly kind: "foreign_price"; readonly currencyCode: string }
  | { readonly kind: "amount_out_of_range" };

/**
 * Prices every line at the catalogue's word, in the shop's currency. All amounts are exact; one beyond int64 is refused.
 */
export function priceCart(
  items: readonly CartItem[],
  offers: ReadonlyMap<string, Offer>,
  shopCurrency: string,
): Result<PricedCart, PricingError> {
  if (items.length === 0) return fail({ kind: "cart_empty" });
  const lines: PricedLine[] = [];
  let subtotal = 0n;
  for (const { sku, quantity } of items) {
    const offer = offers.get(sku);
    if (offer === undefined) return fail({ kind: "unknown_sku", sku });
    if (!offer.purchasable) return fail({ kind: "not_for_sale", sku });
    const { currencyCode, minorUnits: unitPrice } = offer.unitPrice;
    if (currencyCode !== shopCurrency) return fail({ kind: "foreign_price", currencyCode });
    const lineTotal = unitPrice * quantity;
    subtotal += lineTotal;
    if (unitPrice < 0n || quantity < 1n || !isAmount(lineTotal) || !isAmount(subtotal)) {
      return fail({ kind: "amount_out_of_range" });
    }
    lines.push({ sku, title: offer.title, quantity, unitPrice, lineTotal, packed: offer.packed });
  }
  return ok({ lines, subtotal: { currencyCode: shopCurrency, minorUnits: subtotal } });
}

/** What is paid in the end: the goods and their sending. */
export function addShipping(subtotal: Money, shipping: Money): Result<Money, AmountError> {
  const { currencyCode } = subtotal;
  if (shipping.currencyCode !== currencyCode) {
    return fail({ kind: "foreign_price", currencyCode: shipping.currencyCode });
  }
  const minorUnits = subtotal.minorUnits + shipping.minorUnits;
  if (![subtotal.minorUnits, shipping.minorUnits, minorUnits].every(isAmount)) {
    return fail({ kind: "amount_out_of_range" });
  }
  return ok({ currencyCode, minorUnits });
}

/** Why an order is not made at the price that the buyer saw. */
export type ExpectationError =
  | { readonly kind: "currency_mismatch"; readonly currencyCode: string }
  | { readonly kind: "price_changed"; readonly total: Money };

/** Whether the buyer saw this total: in this currency, to the last unit. */
export function checkTotal(total: Money, expected: Money): Result<undefined, ExpectationError> {
  const { currencyCode } = total;
  if (expected.currencyCode !== currencyCode) return fail({ kind: "currency_mismatch", currencyCode });
  return expected.minorUnits === total.minorUnits ? ok(undefined) : fail({ kind: "price_changed", total });
}

function isAmount(value: bigint): boolean {
  return value >= 0n && value <= MAX_MINOR_UNITS;
}
