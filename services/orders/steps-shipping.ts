import type { ShippingLine } from "#gen/shop/shipping/v1/shipment.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Order } from "./domain-order.ts";
import type { ReturnedLine } from "./domain-saga.ts";
import { event, malformed, type StepOutcome, type Task, unknown } from "./step-outcome.ts";

interface Deps {
  readonly shipping: Client<typeof ShippingService>;
}

/** Books the goods, at the rate that the buyer chose. */
export const createShipment =
  ({ shipping }: Deps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const { id: orderId, customerId, address, rateId } = order;
    const lines = shippingLines(order, order.lines);
    const request = { requestId, orderId, customerId, address, lines, rateId, returnId: "" };
    const booked = await shipping.try.createShipment(request, call);
    if (booked.ok) {
      const shipmentId = booked.value.shipment?.id;
      return shipmentId === undefined ? malformed("shipment") : event({ kind: "shipment_booked", shipmentId });
    }
    // What was quoted is honoured, so a refusal is for people to look into; who cancels has what they want.
    const refused = refusals.has(booked.error.reason) && order.state === "CANCELLING";
    return refused ? event({ kind: "shipment_refused" }) : unknown(booked.error);
  };

/** With these nothing was booked, and nothing ever is under this key. */
const refusals: ReadonlySet<string> = new Set(["RATE_NOT_FOUND", "DESTINATION_NOT_SERVED", "GOODS_TOO_LARGE"]);

/** Calls the shipment off, unless it is on its way. */
export const cancelShipment =
  ({ shipping }: Deps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const { shipmentId = "" } = order;
    const cancelled = await shipping.try.cancelShipment({ requestId, shipmentId }, call);
    if (cancelled.ok) return event({ kind: "shipment_cancelled" });
    const { reason } = cancelled.error;
    return reason === "ALREADY_LOADED" ? event({ kind: "shipment_was_loaded" }) : unknown(cancelled.error);
  };

/** These units as shipping wants to know them: with what one of each weighs and measures. */
export function shippingLines(order: Pick<Order, "lines">, units: readonly ReturnedLine[]): ShippingLine[] {
  return units.flatMap(({ sku, quantity }) => {
    const packed = order.lines.find((line) => line.sku === sku)?.packed;
    return packed === undefined ? [] : [{ sku, quantity, ...packed }];
  });
}
