import type { Transaction } from "#mesh/postgres/index.ts";
import { transition } from "./domain.ts";
import type { Order } from "./domain-order.ts";
import type { SagaEvent } from "./domain-saga.ts";
import { insertErrands } from "./store-errands.ts";
import { redirectOrder } from "./store-saga.ts";

/**
 * Makes the move that an event from outside leads to, on an order which the transaction has locked, with its entry in the
 * history and its errands. Undefined when the order does not allow it. `remark` goes into the history as well.
 */
export async function redirect(
  tx: Transaction,
  order: Order,
  { event, remark, actor }: { readonly event: SagaEvent; readonly remark: string; readonly actor: string },
): Promise<Order | undefined> {
  const next = transition(order, event);
  if (!next.ok) return undefined;
  const { saga, errands } = next.value;
  const note = remark === "" ? next.value.note : `${next.value.note}: ${remark}`;
  const entry = await redirectOrder(tx, order, { saga, note, actor });
  await insertErrands(tx, order.id, errands);
  const { time: updateTime, seq: version } = entry;
  const attempts = saga.step === order.step ? order.attempts : 0;
  return { ...order, ...saga, history: [...order.history, entry], updateTime, version, attempts };
}
