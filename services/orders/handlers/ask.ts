import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { transition } from "../domain.ts";
import type { Order } from "../domain-order.ts";
import type { Request } from "../domain-saga.ts";
import { redirectOrder } from "../store-saga.ts";
import { actorOf } from "./access.ts";

/**
 * Makes the move that the caller asks for on an order which the transaction has locked, with its entry in the history.
 * Undefined when the order does not allow it. `remark` goes into the history as well.
 */
export async function ask(
  tx: Transaction,
  call: Call,
  order: Order,
  { event, remark }: { readonly event: Request; readonly remark: string },
): Promise<Order | undefined> {
  const next = transition(order, event);
  if (!next.ok) return undefined;
  const { saga } = next.value;
  const note = remark === "" ? next.value.note : `${next.value.note}: ${remark}`;
  const entry = await redirectOrder(tx, order, { saga, note, actor: actorOf(call) });
  const { time: updateTime, seq: version } = entry;
  const attempts = saga.step === order.step ? order.attempts : 0;
  return { ...order, ...saga, history: [...order.history, entry], updateTime, version, attempts };
}
