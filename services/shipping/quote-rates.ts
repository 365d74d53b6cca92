import { Speed } from "#gen/shop/shipping/v1/shipment.ts";
import type { QuoteRatesRequest, QuoteRatesResponse } from "#gen/shop/shipping/v1/shipping_service.ts";
import { invalidArgument } from "#mesh/contract/errors.ts";
import type { Deps } from "./deps.ts";
import { zoneOf } from "./domain-network.ts";
import { packGoods } from "./domain-packing.ts";
import { offersFor } from "./domain-rates.ts";
import { notServed, tooLarge } from "./errors.ts";

const speeds = { STANDARD: Speed.STANDARD, EXPRESS: Speed.EXPRESS } as const;

/** What it costs to send goods, in every way. Goods that could not be booked are not quoted, either. */
export const quoteRates =
  ({ network, sealRate, currencyCode }: Pick<Deps, "network" | "sealRate" | "currencyCode">) =>
  async ({ address, lines, subtotal }: QuoteRatesRequest): Promise<QuoteRatesResponse> => {
    if (address === undefined || subtotal === undefined)
      throw new Error("A request without what it requires came through.");
    if (subtotal.currencyCode !== currencyCode) {
      const description = `the shop sells in ${currencyCode}`;
      throw invalidArgument([{ field: "subtotal.currency_code", description, reason: "currency" }]);
    }
    const current = network.current();
    const zone = zoneOf(current, address);
    const offers =
      zone === undefined ? [] : offersFor({ lines, subtotal: subtotal.minorUnits }, zone.distance, current.tariffs);
    if (zone === undefined || offers.length === 0) {
      throw notServed(address);
    }
    const packed = packGoods(lines, zone.distance, current);
    if (!packed.ok) throw tooLarge(packed.error.sku);
    const rates = offers.map((offer) => ({
      ...sealRate({ lines, address }, { ...offer, currencyCode }),
      title: offer.title,
      speed: speeds[offer.speed],
      price: { currencyCode, minorUnits: offer.price },
      minDays: offer.minDays,
      maxDays: offer.maxDays,
    }));
    return { rates };
  };
