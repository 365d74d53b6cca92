import type { CancelOrderRequest, CancelOrderResponse } from "#gen/shop/orders/v1/order_service.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import type { OrderState } from "../domain-saga.ts";
import * as store from "../store.ts";
import { visibleTo } from "./access.ts";
import { ask } from "./ask.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { orderMessage } from "./messages.ts";

/** Has an order undone that is not shipped: it is CANCELLING from now on, and the saga gives back what it took. */
export const cancelOrder =
  ({ db, clock, changes, runner }: Pick<Deps, "db" | "clock" | "changes" | "runner">) =>
  async (request: CancelOrderRequest, call: Call): Promise<CancelOrderResponse> => {
    let changed: Order | undefined;
    const response = await once(db, call, request, clock, async (tx): Promise<CancelOrderResponse> => {
      const order = visibleTo(call, await store.lockOrder(tx, request.orderId));
      const { state } = order;
      tx.about(order.customerId);
      if (state === "CANCELLING" || state === "CANCELLED") return { order: orderMessage(order) };
      changed = await ask(tx, call, order, { event: { kind: "cancel_requested" }, remark: request.note });
      if (changed === undefined) throw orderFailure({ kind: "state_conflict", state, why: conflict(state) });
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
      return "Goods or money of the order were given back, or will be; withdraw what is announced, or return the rest.";
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
