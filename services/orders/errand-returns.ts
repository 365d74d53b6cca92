import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "./domain-order.ts";
import type { OrderReturn } from "./domain-returns.ts";
import type { DoErrand } from "./errands.ts";
import { describeError } from "./step-outcome.ts";
import { shippingLines } from "./steps-shipping.ts";
import { getOrder } from "./store.ts";
import { getReturn, setReturnShipment } from "./store-returns.ts";

interface Deps {
  readonly db: Database;
  readonly shipping: Client<typeof ShippingService>;
}

/** Has the goods of a return fetched, unless it was withdrawn meanwhile. */
export const fetchReturn =
  (deps: Deps): DoErrand =>
  async ({ orderId, subject }, call) => {
    const found = await find(deps, orderId, subject);
    if (found?.goods.state !== "REQUESTED") return undefined;
    const booked = await book(deps, found, call);
    return booked.error;
  };

/**
 * Calls the way back of a withdrawn return off. Whether it was booked is asked for under the key of the booking, so that
 * one whose answer was lost is not left over. When it is too late, the goods come, and shipping tells.
 */
export const leaveReturn =
  (deps: Deps): DoErrand =>
  async ({ orderId, subject }, call) => {
    const found = await find(deps, orderId, subject);
    if (found === undefined) return undefined;
    const { shipmentId, error } = await book(deps, found, call);
    if (shipmentId === undefined) return error;
    const cancelled = await deps.shipping.try.cancelShipment({ requestId: `${subject}:leave`, shipmentId }, call);
    if (cancelled.ok || cancelled.error.reason === "ALREADY_LOADED") return undefined;
    return describeError(cancelled.error);
  };

interface Found {
  readonly order: Order;
  readonly goods: OrderReturn;
}

async function find({ db }: Deps, orderId: string, returnId: string): Promise<Found | undefined> {
  const [order, goods] = await Promise.all([getOrder(db, orderId), getReturn(db, returnId)]);
  return order && goods && { order, goods };
}

/** The shipment of a return, made if need be. Neither: none can be made, and the buyer brings the goods themselves. */
async function book(
  { db, shipping }: Deps,
  { order, goods }: Found,
  call: Call,
): Promise<{ readonly shipmentId: string | undefined; readonly error: string | undefined }> {
  if (goods.shipmentId !== "") return { shipmentId: goods.shipmentId, error: undefined };
  const { id: orderId, customerId, address } = order;
  // An address that was erased is nobody's to fetch from.
  if (address.recipient === "") return { shipmentId: undefined, error: undefined };
  const request = {
    requestId: `${goods.id}:fetch`,
    orderId,
    customerId,
    address: { ...address, lines: [...address.lines] },
    lines: shippingLines(order, goods.lines),
    rateId: "",
    returnId: goods.id,
  };
  const booked = await shipping.try.createShipment(request, call);
  if (booked.ok) {
    const shipmentId = booked.value.shipment?.id;
    if (shipmentId === undefined) return { shipmentId, error: "an answer without its shipment" };
    await setReturnShipment(db, goods.id, shipmentId);
    return { shipmentId, error: undefined };
  }
  const { reason } = booked.error;
  const refused = reason === "DESTINATION_NOT_SERVED" || reason === "GOODS_TOO_LARGE";
  return { shipmentId: undefined, error: refused ? undefined : describeError(booked.error) };
}
