import type { CancelOrderRequest, CancelOrderResponse } from "#gen/shop/orders/v1/order_service.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { transition } from "../domain.ts";
import type { Order } from "../domain-order.ts";
import type { OrderState } from "../domain-saga.ts";
import * as store from "../store.ts";
import { redirectOrder } from "../store-saga.ts";
import { actorOf, visibleTo } from "./access.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { orderMessage } from "./messages.ts";

/** Has an order undone that is under way: it is CANCELLING from now on, and the saga gives back what it took. */
export const cancelOrder =
  ({ db, clock, changes, runner }: Pick<Deps, "db" | "clock" | "changes" | "runner">) =>
  async (request: CancelOrderRequest, call: Call): Promise<CancelOrderResponse> => {
    let changed: Order | undefined;
    const response = await once(db, call, request, clock, async (tx): Promise<CancelOrderResponse> => {
      const order = visibleTo(call, await store.lockOrder(tx, request.orderId));
      if (order.state === "CANCELLING" || order.state === "CANCELLED") return { order: orderMessage(order) };
      const next = transition(order, { kind: "cancel_requested" });
      if (!next.ok) throw orderFailure({ kind: "state_conflict", state: order.state, why: conflict(order.state) });
      const { saga } = next.value;
      const note = request.note === "" ? next.value.note : `${next.value.note}: ${request.note}`;
      const entry = await redirectOrder(tx, order, { saga, note, actor: actorOf(call) });
      const { time: updateTime, seq: version } = entry;
      changed = { ...order, ...saga, history: [...order.history, entry], updateTime, version, attempts: 0 };
      return { order: orderMessage(changed) };
    });
    if (changed !== undefined) changes.publish(changed);
    runner.wake();
    return response;
  };

function conflict(state: OrderState): string {
  switch (state) {
    case "CONFIRMED":
    case "PAID":
      return "Goods of the order come back or money was given back; announce a return of the rest instead.";
    case "PENDING":
      return "The order is about to be rejected by itself.";
    case "SHIPPED":
    case "COMPLETED":
      return "The goods are on their way; announce a return instead.";
    case "REJECTED":
    case "CANCELLING":
    case "CANCELLED":
      return "The order did not come about.";
  }
}
