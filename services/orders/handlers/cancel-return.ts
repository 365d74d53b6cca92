import type { CancelReturnRequest, CancelReturnResponse } from "#gen/shop/orders/v1/order_service.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { withWithdrawn } from "../domain-returns.ts";
import { insertErrands } from "../store-errands.ts";
import * as returnStore from "../store-returns.ts";
import { maySee } from "./access.ts";
import { ask } from "./ask.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { returnMessage } from "./messages.ts";

/** Withdraws a return whose goods are not here, once, however often it is asked: its units and its money are free again. */
export const cancelReturn =
  ({ db, clock, changes, errands }: Pick<Deps, "db" | "clock" | "changes" | "errands">) =>
  async (request: CancelReturnRequest, call: Call): Promise<CancelReturnResponse> => {
    const { returnId, note } = request;
    let changed: Order | undefined;
    const response = await once(db, call, request, clock, async (tx): Promise<CancelReturnResponse> => {
      const locked = await returnStore.lockReturn(tx, returnId);
      if (locked === undefined || !maySee(call, locked.order)) throw orderFailure({ kind: "return_not_found" });
      const { goods, order } = locked;
      tx.about(order.customerId);
      const { state, lines, refund } = goods;
      if (state === "CANCELLED") return { orderReturn: returnMessage(goods) };
      if (state !== "REQUESTED") throw orderFailure({ kind: "state_conflict", state, why: "The goods are here." });
      const remark = note === "" ? returnId : `${returnId}: ${note}`;
      const asked = await ask(tx, call, order, {
        event: { kind: "return_withdrawn", amount: refund.minorUnits },
        remark,
      });
      if (asked === undefined) throw new Error(`${returnId} is REQUESTED, and ${order.id} refuses to withdraw it.`);
      changed = { ...asked, lines: withWithdrawn(order.lines, lines) };
      if (order.delivers) await insertErrands(tx, order.id, [{ kind: "leave_return", subject: returnId, amount: 0n }]);
      const updateTime = await returnStore.cancelReturn(tx, goods);
      return { orderReturn: returnMessage({ ...goods, state: "CANCELLED", updateTime }) };
    });
    if (changed !== undefined) {
      changes.publish(changed);
      errands.wake();
    }
    return response;
  };
