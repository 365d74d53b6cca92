import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderServiceService } from "#gen/shop/orders/v1/order_service.ts";
import { type Buyer, createBuyer } from "../support/buyer.ts";
import type { FaultShop } from "../support/fault-shop.ts";
import { insist } from "../support/insist.ts";
import type { Staff } from "../support/staff.ts";
import { CallFailure } from "../support/wire.ts";
import type { Cell } from "./cells.ts";

/** The buyer of a cell, with a full cart or a paid order. */
export interface Actor {
  readonly cell: Cell;
  readonly buyer: Buyer;
  readonly requestId: string;
  /** Does what is to be crashed, and the same again under the same request_ids until the shop has decided. */
  act(): Promise<void>;
}

const pollMs = 100;
const maxPolls = 600;

/** How a cancellation meets what is under way. */
export interface Meeting {
  /** Settles when the payment gateway has been asked for the authorization. */
  readonly authorizing: Promise<void>;
  /** Settles when the payment gateway has been asked for the capture, which is held from then on. */
  readonly capturing: Promise<void>;
  /** To be called when the cancellation was answered: a capture waits for that. */
  cancelled(): void;
}

/** Takes an order as far as nothing is to break. */
export async function prepareActor(
  { shop, staff }: { readonly shop: FaultShop; readonly staff: Staff },
  cell: Cell,
  meeting: Meeting,
): Promise<Actor> {
  const { scenario, sku } = cell;
  const buyer = await insist(() => createBuyer(shop.address));
  await insist(() => buyer.add(sku, 1n));
  const request = await insist(() => buyer.quote(scenario.paymentToken));
  const { requestId } = request;
  if (scenario.prepared === "nothing") {
    return { cell, buyer, requestId, act: () => placeAnd(buyer, request, scenario.action, meeting) };
  }
  const order = await insist(() => buyer.place(request));
  await inState(buyer, order.id, Order_State.PAID);
  const act = await prepareAfterwards({ staff, buyer, cell, order });
  return { cell, buyer, requestId, act };
}

/** What is asked for once an order is paid. */
async function prepareAfterwards(parts: {
  readonly staff: Staff;
  readonly buyer: Buyer;
  readonly cell: Cell;
  readonly order: Order;
}): Promise<() => Promise<void>> {
  const { staff, buyer, order } = parts;
  const { scenario, sku } = parts.cell;
  const requestId = randomUUID();
  if (scenario.action === "refund") {
    const amount = { currencyCode: order.total?.currencyCode ?? "", minorUnits: 100n };
    const request = { requestId, orderId: order.id, amount, note: "a scratch" };
    return () => insist(() => staff.call(OrderServiceService.refundOrder, request)).then(() => {});
  }
  if (scenario.action === "receive") {
    const announce = { requestId: randomUUID(), orderId: order.id, items: [{ sku, quantity: 1n }], note: "" };
    const { orderReturn } = await insist(() => buyer.call(OrderServiceService.createReturn, announce));
    const request = { requestId, returnId: orderReturn?.id ?? "" };
    return () => insist(() => staff.call(OrderServiceService.receiveReturn, request)).then(() => {});
  }
  return () => cancel(buyer, order.id);
}

async function placeAnd(
  buyer: Buyer,
  request: PlaceOrderRequest,
  action: Cell["scenario"]["action"],
  meeting: Meeting,
): Promise<void> {
  const placing = decided(buyer, request);
  // It is waited for below, in any case.
  placing.catch(() => {});
  if (action === "cancel while pending") {
    await meeting.authorizing;
    await cancel(buyer, await firstOrder(buyer));
  }
  if (action === "cancel when confirmed") {
    const order = await placing;
    // Before that, the cancellation would void the authorization, and there were nothing to refund.
    await meeting.capturing;
    if (order !== undefined) await cancel(buyer, order.id);
  }
  meeting.cancelled();
  await placing;
}

/** The order once it is decided, or undefined when it was rejected. */
async function decided(buyer: Buyer, request: PlaceOrderRequest): Promise<Order | undefined> {
  for (let turn = 0; turn < maxPolls; turn++) {
    try {
      const order = await insist(() => buyer.place(request));
      if (order.state !== Order_State.PENDING) return order;
    } catch (error) {
      if (error instanceof CallFailure && error.code === "FAILED_PRECONDITION") return undefined;
      throw error;
    }
    await delay(pollMs);
  }
  throw new Error(`the request ${request.requestId} was never decided`);
}

async function cancel(buyer: Buyer, orderId: string): Promise<void> {
  const request = { requestId: randomUUID(), orderId, note: "" };
  await insist(() => buyer.call(OrderServiceService.cancelOrder, request));
}

async function firstOrder(buyer: Buyer): Promise<string> {
  const request = { customerId: "", state: Order_State.UNSPECIFIED, pageSize: 1, pageToken: "" };
  for (let turn = 0; turn < maxPolls; turn++) {
    const [order] = (await insist(() => buyer.call(OrderServiceService.listOrders, request))).orders;
    if (order !== undefined) return order.id;
    await delay(pollMs);
  }
  throw new Error("no order came");
}

async function inState(buyer: Buyer, orderId: string, state: Order_State): Promise<void> {
  for (let turn = 0; turn < maxPolls; turn++) {
    if ((await insist(() => buyer.order(orderId))).state === state) return;
    await delay(pollMs);
  }
  throw new Error(`${orderId} did not become ${state}`);
}
