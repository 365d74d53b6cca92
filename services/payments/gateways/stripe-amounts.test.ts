import fc from "fast-check";
import { expect, test } from "vitest";
import { fromStripeAmount, toStripeAmount } from "./stripe-amounts.ts";

test.each([
  ["two digits", "EUR", 1_234n, 1234],
  ["none", "JPY", 500n, 500],
  ["none at Stripe, two by ISO", "MGA", 500n, 5],
  ["two at Stripe, none by ISO", "ISK", 5n, 500],
  ["three, the last a nought", "KWD", 5_120n, 5120],
])("a currency with %s is said as Stripe wants it: %s", (_, currencyCode, minorUnits, amount) => {
  expect(toStripeAmount(minorUnits, currencyCode)).toBe(amount);
  expect(fromStripeAmount(amount, currencyCode)).toBe(minorUnits);
});

test.each([
  ["nothing", "EUR", 0n],
  ["less than nothing", "EUR", -1n],
  ["fifths of an ariary", "MGA", 501n],
  ["a third digit that is no nought", "KWD", 5_124n],
  ["more than twelve digits", "EUR", 1_000_000_000_000n],
  ["more than a number holds", "JPY", 2n ** 53n],
  ["a currency that Stripe has not", "IQD", 1_000n],
  ["a currency under two rules", "UGX", 1_000n],
  ["what is no currency", "euro", 1_000n],
])("%s cannot be said: %s", (_, currencyCode, minorUnits) => {
  expect(toStripeAmount(minorUnits, currencyCode)).toBeUndefined();
});

test("what can be said comes back the same", () => {
  const currency = fc.constantFrom("EUR", "USD", "JPY", "KRW", "MGA", "ISK", "KWD", "TND", "XOF");
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 60n }), currency, (minorUnits, currencyCode) => {
      const amount = toStripeAmount(minorUnits, currencyCode);
      return amount === undefined || fromStripeAmount(amount, currencyCode) === minorUnits;
    }),
  );
});

test("an amount of Stripe's with a fraction that has no place is none", () => {
  expect(() => fromStripeAmount(501, "ISK")).toThrow("fraction");
  expect(() => fromStripeAmount(1.5, "EUR")).toThrow("whole");
});
