import type { ReceiveReturnRequest, ReceiveReturnResponse } from "#gen/shop/orders/v1/order_service.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { receive } from "../goods-news.ts";
import * as returnStore from "../store-returns.ts";
import { actorOf } from "./access.ts";
import { noRoom } from "./ask.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { returnMessage } from "./messages.ts";

/** Books that the goods of a return are here, once, however often it is asked: its refund is due from now on. */
export const receiveReturn =
  ({ db, clock, changes, runner }: Pick<Deps, "db" | "clock" | "changes" | "runner">) =>
  async (request: ReceiveReturnRequest, call: Call): Promise<ReceiveReturnResponse> => {
    const { returnId } = request;
    let changed: Order | undefined;
    const response = await once(db, call, request, clock, async (tx): Promise<ReceiveReturnResponse> => {
      const locked = await returnStore.lockReturn(tx, returnId);
      if (locked === undefined) throw orderFailure({ kind: "return_not_found" });
      const { goods, order } = locked;
      tx.about(order.customerId);
      const { state } = goods;
      if (state === "CANCELLED")
        throw orderFailure({ kind: "state_conflict", state, why: "The return was withdrawn." });
      if (state !== "REQUESTED") return { orderReturn: returnMessage(goods) };
      const received = await receive(tx, order, goods, actorOf(call));
      if (received === undefined) throw noRoom(order);
      changed = received;
      return { orderReturn: returnMessage({ ...goods, state: "RECEIVED", updateTime: received.receiveTime }) };
    });
    if (changed !== undefined) changes.publish(changed);
    runner.wake();
    return response;
  };
