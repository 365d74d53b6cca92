import { systemClock } from "#mesh/clock.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { OrderWatch } from "../changes.ts";
import { isDecided, type Order } from "../domain-order.ts";
import type { Deps } from "./deps.ts";

/** No caller is kept waiting for longer. */
const MAX_WAIT_MS = 60_000;

/** Follows the order until it is known what becomes of it, or the caller's time is almost up, or the caller is gone. */
export async function untilDecided(
  { answerMarginMs }: Pick<Deps, "answerMarginMs">,
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
  call.signal.addEventListener("abort", stop);
  // A signal that has aborted before tells nobody any more.
  if (call.signal.aborted) stop();
  try {
    let order = placed;
    while (!isDecided(order)) {
      const next = await watch.next(order.version, timeUp.signal);
      if (next === undefined) break;
      order = next;
    }
    return order;
  } finally {
    clearTimeout(timer);
    call.signal.removeEventListener("abort", stop);
  }
}
