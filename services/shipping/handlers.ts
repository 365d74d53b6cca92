import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Deps } from "./deps.ts";
import { quoteRates } from "./quote-rates.ts";

/** The handlers of `shop.shipping.v1.ShippingService`. */
export function shippingHandlers(deps: Deps): Handlers<typeof ShippingService> {
  const notYet = (): never => {
    throw meshFailure("METHOD_UNKNOWN", "This version of shipping does not have it yet.");
  };
  return {
    quoteRates: quoteRates(deps),
    createShipment: notYet,
    getShipment: notYet,
    listShipments: notYet,
    listParcels: notYet,
    cancelShipment: notYet,
    recordScan: notYet,
    watchShipment: notYet,
    watchShipmentEvents: notYet,
    exportCustomerData: notYet,
    eraseCustomerData: notYet,
  };
}
