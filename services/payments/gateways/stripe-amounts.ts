/**
 * Stripe's amounts are whole numbers, mostly in ISO 4217's minor units, but not always. The rules are Stripe's own:
 * docs.stripe.com/currencies, as it stood in 2026.
 */

/** Digits after the point where ISO 4217 has not two; those that Stripe takes, and those it does not. */
const ISO_DIGITS: Readonly<Record<string, number>> = {
  ...digits(0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
  ...digits(3, "BHD IQD JOD KWD LYD OMR TND"),
  ...digits(4, "CLF UYW"),
};

/** Digits after the point where Stripe has others than ISO: the ariary without its fifths, the króna with two noughts. */
const STRIPE_DIGITS: Readonly<Record<string, number>> = { ...ISO_DIGITS, MGA: 0, ISK: 2 };

/** Not among Stripe's currencies, or, for UGX, under two rules that contradict each other. */
const NOT_TAKEN: readonly string[] = ["CLF", "IQD", "LYD", "UGX", "UYI", "UYW"];

/** No currency of Stripe's has more digits; where a currency has fewer, Stripe itself says no. */
const MAX_AMOUNT = 999_999_999_999n;

/** Whether amounts in this currency can be said to Stripe at all. */
export function takesCurrency(currencyCode: string): boolean {
  return /^[A-Z]{3}$/.test(currencyCode) && !NOT_TAKEN.includes(currencyCode);
}

/**
 * Stripe's amount for ISO minor units, exactly; undefined where there is none: a currency or an amount that Stripe does
 * not take, or a fraction that it does not know. Nothing is ever rounded.
 */
export function toStripeAmount(minorUnits: bigint, currencyCode: string): number | undefined {
  if (!takesCurrency(currencyCode) || minorUnits <= 0n) return undefined;
  const { up, down } = scale(currencyCode);
  const scaled = minorUnits * up;
  if (scaled % down !== 0n) return undefined;
  const amount = scaled / down;
  // The last of three digits must be a nought.
  if (digitsOf(STRIPE_DIGITS, currencyCode) === 3 && amount % 10n !== 0n) return undefined;
  return amount > MAX_AMOUNT ? undefined : Number(amount);
}

/** ISO minor units of an amount of Stripe's. Throws on what is no such amount. */
export function fromStripeAmount(amount: number, currencyCode: string): bigint {
  if (!Number.isSafeInteger(amount))
    throw new Error(`Stripe sent an amount in ${currencyCode} that is no whole number`);
  const { up, down } = scale(currencyCode);
  const scaled = BigInt(amount) * down;
  if (scaled % up !== 0n) throw new Error(`Stripe sent an amount in ${currencyCode} with a fraction that has no place`);
  return scaled / up;
}

/** By what ISO minor units are multiplied, then divided, to become Stripe's. One of them is 1. */
function scale(currencyCode: string): { readonly up: bigint; readonly down: bigint } {
  const difference = digitsOf(STRIPE_DIGITS, currencyCode) - digitsOf(ISO_DIGITS, currencyCode);
  const factor = 10n ** BigInt(Math.abs(difference));
  return difference > 0 ? { up: factor, down: 1n } : { up: 1n, down: factor };
}

function digitsOf(table: Readonly<Record<string, number>>, currencyCode: string): number {
  return table[currencyCode] ?? 2;
}

function digits(count: number, currencyCodes: string): Readonly<Record<string, number>> {
  return Object.fromEntries(currencyCodes.split(" ").map((code) => [code, count]));
}
