import type { AuthorizePaymentRequest, AuthorizePaymentResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { isUniqueViolation, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { earlierWish, noteAuthorization, type Wish, wishOf } from "./authorization.ts";
import { timeLimit } from "./change-payment.ts";
import { type Deps, fail } from "./deps.ts";
import { paymentMessage } from "./messages.ts";
import * as operationStore from "./operation-store.ts";
import { finish, mayStillSend, type Performed } from "./operations.ts";
import * as store from "./store.ts";

/** Sets money aside, once per request and at most once per order at a time. */
export const authorizePayment =
  (deps: Deps) =>
  async (request: AuthorizePaymentRequest, call: Call): Promise<AuthorizePaymentResponse> => {
    const wish = wishOf(deps, call, request);
    const begun = await beginOnce(deps, wish, call);
    // Who has gone may have given the order up: nothing must be set aside for it any more. What is written down by now is
    // settled by its key.
    call.signal.throwIfAborted();
    const { operation, payment } = await finish(deps, begun, async () =>
      mayStillSend(deps, begun.operation)
        ? deps.gateway.authorize({
            key: begun.operation.id,
            firstAskedTime: begun.operation.createTime,
            amount: wish.amount,
            currencyCode: deps.currencyCode,
            paymentToken: request.paymentToken,
            reference: request.orderId,
          })
        : { kind: "unknown", because: "it was noted too long ago to be sent" },
    );
    if (operation.state === "DONE") return { payment: paymentMessage(payment) };
    const declineCode = payment.declineCode ?? "";
    throw fail("PAYMENT_DECLINED", `The payment was declined: ${declineCode}.`, { decline_code: declineCode });
  };

async function beginOnce(deps: Deps, wish: Wish, call: Call): Promise<Performed> {
  const attempt = (): Promise<Performed> =>
    deps.db.transaction((tx) => {
      call.signal.throwIfAborted();
      return begin(deps, tx, wish);
    }, timeLimit(call));
  try {
    return await attempt();
  } catch (error) {
    if (!isUniqueViolation(error, "operations_once") && !isUniqueViolation(error, "payments_one_live_per_order")) {
      throw error;
    }
  }
  // Somebody was faster: a copy of this request, which is found now, or another payment of the order.
  const live = await store.findLivePayment(deps.db, wish.request.orderId);
  try {
    return await attempt();
  } catch (error) {
    if (!isUniqueViolation(error, "payments_one_live_per_order")) throw error;
    throw fail("ORDER_HAS_PAYMENT", "The order has a live payment already.", { payment_id: live?.id ?? "" });
  }
}

async function begin(deps: Deps, tx: Transaction, wish: Wish): Promise<Performed> {
  const earlier = await earlierWish(tx, wish);
  if (earlier === undefined) return noteAuthorization(deps, tx, wish, "asked");
  if (earlier.operation.state !== "PENDING") return earlier;
  return askAgainFor(deps, tx, earlier.operation);
}

/** Under the payment's lock, so that nobody gives the authorization up while it is asked for again. */
async function askAgainFor(
  { clock }: Deps,
  tx: Transaction,
  { id, paymentId }: operationStore.OperationRow,
): Promise<Performed> {
  const payment = await store.lockPayment(tx, paymentId);
  const operation =
    (await operationStore.noteAsked(tx, id, clock.now())) ?? (await operationStore.getOperation(tx, id));
  if (payment === undefined || operation === undefined)
    throw new Error(`operation ${id} is gone, and none is ever deleted`);
  return { operation, payment };
}
