import { Speed } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { QuoteRatesRequest } from "#gen/shop/shipping/v1/shipping_service.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import { type FakeShipments, fakeShipments } from "./fake-shipments.ts";
import { type Interference, partialService } from "./partial-service.ts";

const LIFETIME_MS = 30 * 60_000;
const FREE_FROM_SUBTOTAL = 15_000n;

/** What standard sending costs in these tests: 4.90, and nothing from a subtotal of 150.00 on. */
export const standardPrice = (subtotal: bigint): bigint => (subtotal >= FREE_FROM_SUBTOTAL ? 0n : 490n);

/** The id that shipping's fake gives to a rate. */
export const rateIdOf = (speed: "standard" | "express"): string => `rate_${speed}`;

/** Rates, to Germany alone, and shipments, in memory. */
export interface FakeShipping extends FakeShipments {
  /** What was asked, in order. */
  readonly asked: QuoteRatesRequest[];
  /** SKUs that nothing carries. */
  readonly tooLarge: Set<string>;
  readonly service: Implementation;
}

const failShipping = failures(ShippingService);

export function fakeShipping(interference: Interference, now: () => Date): FakeShipping {
  const asked: QuoteRatesRequest[] = [];
  const tooLarge = new Set<string>();
  const quoteRates = async (request: QuoteRatesRequest) => {
    asked.push(request);
    const { address, lines, subtotal } = request;
    const { countryCode = "", postalCode = "" } = address ?? {};
    if (countryCode !== "DE") {
      const metadata = { country_code: countryCode, postal_code: postalCode };
      throw failShipping("DESTINATION_NOT_SERVED", "not there", metadata);
    }
    const large = lines.find(({ sku }) => tooLarge.has(sku));
    if (large !== undefined) throw failShipping("GOODS_TOO_LARGE", "too large", { sku: large.sku });
    const expireTime = new Date(now().getTime() + LIFETIME_MS);
    const price = (minorUnits: bigint) => ({ currencyCode: subtotal?.currencyCode ?? "", minorUnits });
    return {
      rates: [
        {
          ...{ id: rateIdOf("standard"), title: "Standard", speed: Speed.STANDARD, minDays: 2, maxDays: 4 },
          ...{ price: price(standardPrice(subtotal?.minorUnits ?? 0n)), expireTime },
        },
        {
          ...{ id: rateIdOf("express"), title: "Express", speed: Speed.EXPRESS, minDays: 1, maxDays: 1 },
          ...{ price: price(1_290n), expireTime },
        },
      ],
    };
  };
  const { handlers, ...shipments } = fakeShipments();
  const service = partialService(ShippingService, { quoteRates, ...handlers }, interference);
  return { asked, tooLarge, ...shipments, service };
}
