import { createHash } from "node:crypto";
import type { PlaceOrderRequest, PlaceOrderResponse } from "#gen/shop/orders/v1/checkout_service.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { OrderWatch } from "../changes.ts";
import { addShipping, checkTotal } from "../domain-money.ts";
import { needsToken, type Order } from "../domain-order.ts";
import * as store from "../store.ts";
import { userOf } from "./access.ts";
import type { Deps } from "./deps.ts";
import { type CheckoutError, checkoutFailure } from "./errors.ts";
import { orderMessage } from "./messages.ts";
import { addressOf, priceNow } from "./pricing.ts";
import { untilDecided } from "./until-decided.ts";

/** When a caller may come again that found the process busy. */
const BUSY_RETRY_MS = 500;

/**
 * Buys what is in the caller's cart, once for each request_id. Calls before the answer: the cart, the catalogue, the
 * hold, the authorization, and a release when that is declined; the rest is done in the background.
 */
export const placeOrder =
  (deps: Deps) =>
  async (request: PlaceOrderRequest, call: Call): Promise<PlaceOrderResponse> => {
    const { requestId } = request;
    const key = { customerId: userOf(call).id, requestId };
    const requestHash = createHash("sha256").update(call.method.encodeRequest(request)).digest();
    const copyOf = async (): Promise<PlaceOrderResponse | undefined> => {
      const placed = await store.findByRequest(deps.db, key);
      if (placed === undefined) return undefined;
      if (!requestHash.equals(placed.requestHash)) throw checkoutFailure({ kind: "request_id_reused", requestId });
      // The hash is of the token, too: this is the one that the order was placed with.
      return answerWhenDecided(deps, { orderId: placed.id, paymentToken: request.paymentToken }, call);
    };

    const replayed = await copyOf();
    if (replayed !== undefined) return replayed;
    const planned = await planOrder(deps, { request, requestHash, customerId: key.customerId }, call);
    if (!planned.ok) {
      // The first copy may have bought, and cleared the cart, while this one read it.
      const bought = await copyOf();
      if (bought !== undefined) return bought;
      throw checkoutFailure(planned.error);
    }
    call.signal.throwIfAborted();
    const answer = await buy(deps, planned.value, request.paymentToken, call);
    // Without an order of its own this call was a copy of another at the same time, which was first.
    const copied = answer ?? (await copyOf());
    if (copied === undefined) throw new Error(`The order of request ${requestId} is gone, though it stood in the way.`);
    return copied;
  };

/** What would be bought, at the price that the buyer expects. Nothing is written. */
async function planOrder(
  deps: Deps,
  source: { readonly request: PlaceOrderRequest; readonly requestHash: Uint8Array; readonly customerId: string },
  call: Call,
): Promise<Result<store.NewOrder, CheckoutError>> {
  const { request, requestHash, customerId } = source;
  const { requestId, cartId, email, shippingOptionId, expectedTotal } = request;
  const address = addressOf(request.address);
  if (expectedTotal === undefined) throw new Error("A request without its required total came through.");
  if (expectedTotal.currencyCode !== deps.currencyCode) {
    return fail({ kind: "currency_mismatch", currencyCode: deps.currencyCode });
  }
  const priced = await priceNow(deps, { cartId }, call);
  if (!priced.ok) return priced;
  const { lines, subtotal } = priced.value;
  const chosen = deps.options.open(shippingOptionId, { customerId, goods: lines, address }, deps.clock.now());
  if (!chosen.ok) return chosen;
  const { option, rateId } = chosen.value;
  const total = addShipping(subtotal, option.price);
  if (!total.ok) return total;
  const expected = checkTotal(total.value, expectedTotal);
  if (!expected.ok) return expected;
  return ok({
    id: deps.newId("ord"),
    customerId,
    requestId,
    requestHash,
    cartId: priced.value.cartId,
    lines: lines.map((line) => ({ ...line, announcedQuantity: 0n, returnedQuantity: 0n })),
    currencyCode: subtotal.currencyCode,
    subtotal: subtotal.minorUnits,
    total: total.value.minorUnits,
    email,
    address,
    shippingOption: option,
    rateId,
  });
}

/** Writes the order, and has it move on; undefined when a copy of the request was faster. */
async function buy(
  deps: Deps,
  planned: store.NewOrder,
  paymentToken: string,
  call: Call,
): Promise<PlaceOrderResponse | undefined> {
  const { db, changes, runner, leaseMs } = deps;
  const admission = runner.admit();
  if (admission === undefined) {
    throw meshFailure("OVERLOADED", "Too many orders are under way here.", { retryDelayMs: BUSY_RETRY_MS });
  }
  let started = false;
  let watch: OrderWatch | undefined;
  try {
    // Watched before it moves, so that no move is missed.
    watch = changes.watch(planned.id);
    const order = await store.insertOrder(db, planned, leaseMs);
    if (order === undefined) return undefined;
    admission.start(order, paymentToken);
    started = true;
    return answer(await untilDecided(deps, { watch, placed: order, call }));
  } finally {
    watch?.close();
    if (!started) admission.cancel();
  }
}

/** The answer to a copy. What it brought helps an order whose process took its payment token with it. */
async function answerWhenDecided(
  deps: Deps,
  { orderId, paymentToken }: { readonly orderId: string; readonly paymentToken: string },
  call: Call,
): Promise<PlaceOrderResponse> {
  const { changes, db, runner } = deps;
  const watch = changes.watch(orderId);
  try {
    const placed = await store.getOrder(db, orderId);
    if (placed === undefined) throw new Error(`The order ${orderId} is gone, though orders are never deleted.`);
    if (needsToken(placed)) runner.offerToken(orderId, paymentToken);
    const order = await untilDecided(deps, { watch, placed, call });
    if (!needsToken(order)) runner.forgetToken(orderId);
    return answer(order);
  } finally {
    watch.close();
  }
}

/** The order, accepted or still under way; or the failure by which it was, or for certain will be, rejected. */
function answer(order: Order): PlaceOrderResponse {
  if (order.rejection !== undefined) {
    throw checkoutFailure({ kind: "rejected", orderId: order.id, rejection: order.rejection });
  }
  return { order: orderMessage(order) };
}
