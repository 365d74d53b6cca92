import { meshFailure } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { transition } from "../domain.ts";
import type { Order } from "../domain-order.ts";
import { MAX_DUE, type Request } from "../domain-saga.ts";
import { redirectOrder } from "../store-saga.ts";
import { actorOf } from "./access.ts";

/** When there may be room again for one more thing that is due. */
const FULL_RETRY_MS = 1_000;

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

/** Why an order refuses that something becomes due which was checked before: the queue is full, or we are wrong. */
export function noRoom({ id, due }: Order): Error {
  if (due.length < MAX_DUE) return new Error(`${id}: what was planned cannot become due.`);
  return meshFailure("OVERLOADED", "Too much is due to the buyer already; it is being worked off.", {
    retryDelayMs: FULL_RETRY_MS,
  });
}
