import { systemClock } from "#mesh/clock.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { OrderWatch } from "../changes.ts";
import { isClearingCart, isDecided, type Order } from "../domain-order.ts";
import type { Deps } from "./deps.ts";

/** No caller is kept waiting for longer. */
const MAX_WAIT_MS = 60_000;

/** How much longer than the call that clears the cart may take: only when its process is gone it takes longer still. */
const CART_MARGIN_MS = 500;

/**
 * Follows the order until it is known what becomes of it and its goods are out of the cart, so that whoever shops on at
 * once does not find them there; or until the caller's time is almost up, or the caller is gone.
 */
export async function untilDecided(
  { answerMarginMs, cartMs }: Pick<Deps, "answerMarginMs" | "cartMs">,
  {
    watch,
    placed,
    call,
  }: { readonly watch: OrderWatch; readonly placed: Order; readonly call: Pick<Call, "deadline" | "signal"> },
): Promise<Order> {
  const leftMs = call.deadline - systemClock.now().getTime() - answerMarginMs;
  const timeUp = new AbortController();
  const stop = (): void => timeUp.abort();
  const timer = setTimeout(stop, Math.min(Math.max(leftMs, 0), MAX_WAIT_MS));
  let cartTimer: NodeJS.Timeout | undefined;
  call.signal.addEventListener("abort", stop);
  // A signal that has aborted before tells nobody any more.
  if (call.signal.aborted) stop();
  try {
    let order = placed;
    while (!isDecided(order) || isClearingCart(order)) {
      if (isDecided(order)) cartTimer ??= setTimeout(stop, cartMs + CART_MARGIN_MS);
      const next = await watch.next(order.version, timeUp.signal);
      if (next === undefined) break;
      order = next;
    }
    return order;
  } finally {
    clearTimeout(timer);
    clearTimeout(cartTimer);
    call.signal.removeEventListener("abort", stop);
  }
}
