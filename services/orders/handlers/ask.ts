import { meshFailure } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { MAX_DUE, type Request } from "../domain-saga.ts";
import { redirect } from "../redirect.ts";
import { actorOf } from "./access.ts";

/** When there may be room again for one more thing that is due. */
const FULL_RETRY_MS = 1_000;

/**
 * Makes the move that the caller asks for on an order which the transaction has locked, with its entry in the history.
 * Undefined when the order does not allow it. `remark` goes into the history as well.
 */
export function ask(
  tx: Transaction,
  call: Call,
  order: Order,
  asked: { readonly event: Request; readonly remark: string },
): Promise<Order | undefined> {
  return redirect(tx, order, { ...asked, actor: actorOf(call) });
}

/** Why an order refuses that something becomes due which was checked before: the queue is full, or we are wrong. */
export function noRoom({ id, due }: Order): Error {
  if (due.length < MAX_DUE) return new Error(`${id}: what was planned cannot become due.`);
  return meshFailure("OVERLOADED", "Too much is due to the buyer already; it is being worked off.", {
    retryDelayMs: FULL_RETRY_MS,
  });
}
