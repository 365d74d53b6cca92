import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { cancelShipment } from "./cancel-shipment.ts";
import { createShipment } from "./create-shipment.ts";
import type { Deps } from "./deps.ts";
import { watchShipmentEvents } from "./feed.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import { quoteRates } from "./quote-rates.ts";
import { getShipment, listParcels, listShipments, watchShipment } from "./read-shipments.ts";
import { recordScan } from "./record-scan.ts";

/** The handlers of `shop.shipping.v1.ShippingService`. */
export function shippingHandlers(deps: Deps): Handlers<typeof ShippingService> {
  return {
    quoteRates: quoteRates(deps),
    createShipment: createShipment(deps),
    getShipment: getShipment(deps),
    listShipments: listShipments(deps),
    listParcels: listParcels(deps),
    cancelShipment: cancelShipment(deps),
    recordScan: recordScan(deps),
    watchShipment: watchShipment(deps),
    watchShipmentEvents: watchShipmentEvents(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomerData: eraseCustomerData(deps),
  };
}
