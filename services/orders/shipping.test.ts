import { expect, it } from "vitest";
import type { Call } from "#mesh/rpc/call.ts";
import { flatRates, type Parcel } from "./shipping.ts";
import { newOrder } from "./testing/orders.ts";

it.each([
  [1n, 490n],
  [14_999n, 490n],
  [15_000n, 0n],
])("sends goods of %d in two to four days for %d", async (subtotal, price) => {
  const { address } = newOrder({ id: "ord_1" });
  const parcel: Parcel = { lines: [], subtotal: { currencyCode: "EUR", minorUnits: subtotal }, address };
  // A flat rate asks nobody, so it has no use for the call.
  const options = await flatRates().quote(parcel, {} as Call);
  expect(options).toEqual([
    { id: "standard", title: "Standard", price: { currencyCode: "EUR", minorUnits: price }, minDays: 2, maxDays: 4 },
  ]);
});
