import type { SettleAuthorizationRequest, SettleAuthorizationResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { isUniqueViolation, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { earlierWish, noteAuthorization, type Wish, wishOf } from "./authorization.ts";
import { timeLimit } from "./change-payment.ts";
import { type Deps, fail } from "./deps.ts";
import { paymentMessage } from "./messages.ts";
import { finish, type Performed } from "./operations.ts";
import * as store from "./store.ts";

/**
 * Ends the question whether an authorization came about. One that is known is settled by its key; one that is not is
 * written down as given up, under the same request_id, so that an AuthorizePayment that comes later finds it so and never
 * asks the payment gateway. Of the two at once, one is first: the other then finds what that one wrote.
 */
export const settleAuthorization =
  (deps: Deps) =>
  async (request: SettleAuthorizationRequest, call: Call): Promise<SettleAuthorizationResponse> => {
    const wish = wishOf(deps, call, request);
    const attempt = (): Promise<Performed> => {
      call.signal.throwIfAborted();
      return deps.db.transaction((tx) => findOrGiveUp(deps, tx, wish), timeLimit(call));
    };
    const found = await attempt().catch((error: unknown) => {
      if (!isUniqueViolation(error, "operations_once")) throw error;
      // An AuthorizePayment, or a copy of this request, was faster; it is found now.
      return attempt();
    });
    const { payment } = await finish(deps, found);
    return { payment: paymentMessage(payment) };
  };

async function findOrGiveUp(deps: Deps, tx: Transaction, wish: Wish): Promise<Performed> {
  // In this order: a live payment that is seen without the request which made it was made by another one.
  const live = await store.findLivePayment(tx, wish.request.orderId);
  const earlier = await earlierWish(tx, wish);
  if (earlier !== undefined) return earlier;
  if (live !== undefined) {
    throw fail("ORDER_HAS_PAYMENT", "The order has a live payment, made by another request.", { payment_id: live.id });
  }
  return noteAuthorization(deps, tx, wish, "abandoned");
}
