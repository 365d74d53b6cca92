import type { CreateReturnRequest, CreateReturnResponse } from "#gen/shop/orders/v1/order_service.ts";
import { type OnceTransaction, once, principalOf } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { type OrderReturn, planReturn, withAnnounced } from "../domain-returns.ts";
import * as store from "../store.ts";
import { insertErrands } from "../store-errands.ts";
import * as returnStore from "../store-returns.ts";
import { visibleTo } from "./access.ts";
import { ask } from "./ask.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { returnMessage } from "./messages.ts";

/** Announces that goods of a paid order come back. Their refund is promised from now on, and given when they are here. */
export const createReturn =
  ({ db, clock, newId, changes, errands }: Pick<Deps, "db" | "clock" | "newId" | "changes" | "errands">) =>
  async (request: CreateReturnRequest, call: Call): Promise<CreateReturnResponse> => {
    const { orderId, requestId, note } = request;
    const items = request.items.map(({ sku, quantity }) => ({ sku, quantity }));
    let changed: Order | undefined;
    const announce = async (tx: OnceTransaction): Promise<OrderReturn> => {
      const order = visibleTo(call, await store.lockOrder(tx, orderId));
      tx.about(order.customerId);
      const key = { requestedBy: principalOf(call), requestId };
      // Answers are forgotten after a while; what was announced is not, and a late copy announces nothing again.
      const known = await returnStore.findReturnByRequest(tx, key);
      if (known !== undefined) {
        if (!isSame(known, { orderId, lines: items, note }))
          throw orderFailure({ kind: "request_id_reused", requestId });
        return known;
      }
      const planned = planReturn(order, items);
      if (!planned.ok) throw orderFailure(planned.error);
      const amount = planned.value;
      const id = newId("ret");
      const asked = await ask(tx, call, order, { event: { kind: "return_announced", amount }, remark: id });
      if (asked === undefined)
        throw new Error(`${orderId}: a return of ${amount} was planned, and cannot be announced.`);
      changed = { ...asked, lines: withAnnounced(order.lines, items) };
      if (order.delivers) await insertErrands(tx, orderId, [{ kind: "fetch_return", subject: id, amount: 0n }]);
      const refund = { currencyCode: order.currencyCode, minorUnits: amount };
      return returnStore.insertReturn(tx, order, { id, lines: items, refund, note, ...key });
    };
    const response = await once(
      db,
      call,
      request,
      clock,
      async (tx): Promise<CreateReturnResponse> => ({ orderReturn: returnMessage(await announce(tx)) }),
    );
    if (changed !== undefined) {
      changes.publish(changed);
      errands.wake();
    }
    return response;
  };

/** Whether a return is what a request announces. */
function isSame(known: OrderReturn, asked: Pick<OrderReturn, "orderId" | "lines" | "note">): boolean {
  const textOf = ({ orderId, lines, note }: typeof asked) =>
    JSON.stringify([orderId, note, lines.map(({ sku, quantity }) => [sku, `${quantity}`])]);
  return textOf(known) === textOf(asked);
}
