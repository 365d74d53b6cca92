import type { RefundOrderRequest, RefundOrderResponse } from "#gen/shop/orders/v1/order_service.ts";
import { once, principalOf } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { checkRefund } from "../domain-returns.ts";
import * as store from "../store.ts";
import { findDueByRequest, insertDue } from "../store-returns.ts";
import { visibleTo } from "./access.ts";
import { ask, noRoom } from "./ask.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { orderMessage } from "./messages.ts";

/** Promises money of a paid order to the buyer, for which no goods come back; the saga gives it. */
export const refundOrder =
  ({ db, clock, changes, runner }: Pick<Deps, "db" | "clock" | "changes" | "runner">) =>
  async (request: RefundOrderRequest, call: Call): Promise<RefundOrderResponse> => {
    const { orderId, requestId, amount, note } = request;
    if (amount === undefined) throw new Error("A request without its required amount came through.");
    let changed: Order | undefined;
    const response = await once(db, call, request, clock, async (tx): Promise<RefundOrderResponse> => {
      const order = visibleTo(call, await store.lockOrder(tx, orderId));
      tx.about(order.customerId);
      const key = { requestedBy: principalOf(call), requestId };
      // Answers are forgotten after a while; what became due is not, and a late copy gives nothing again.
      const known = await findDueByRequest(tx, key);
      if (known !== undefined) {
        const same = known.orderId === orderId && known.amount === amount.minorUnits;
        if (!same) throw orderFailure({ kind: "request_id_reused", requestId });
        return { order: orderMessage(order) };
      }
      const checked = checkRefund(order, amount);
      if (!checked.ok) throw orderFailure(checked.error);
      const { minorUnits } = amount;
      changed = await ask(tx, call, order, { event: { kind: "refund_requested", amount: minorUnits }, remark: note });
      if (changed === undefined) throw noRoom(order);
      await insertDue(tx, orderId, { seq: changed.dues, amount: minorUnits, ...key });
      return { order: orderMessage(changed) };
    });
    if (changed !== undefined) changes.publish(changed);
    runner.wake();
    return response;
  };
