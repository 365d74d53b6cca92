import type { AuthorizePaymentRequest, AuthorizePaymentResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { isUniqueViolation, principalOf, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { currencyMismatch, digestOf, earlierCopy, newOperation, noteOperation, timeLimit } from "./change-payment.ts";
import { type Deps, fail } from "./deps.ts";
import { paymentMessage } from "./messages.ts";
import type * as operationStore from "./operation-store.ts";
import { finish, type Performed } from "./operations.ts";
import * as store from "./store.ts";

/** Sets money aside, once per request and at most once per order at a time. */
export const authorizePayment =
  (deps: Deps) =>
  async (request: AuthorizePaymentRequest, call: Call): Promise<AuthorizePaymentResponse> => {
    const { amount, orderId, paymentToken } = request;
    if (amount?.currencyCode !== deps.currencyCode) throw currencyMismatch(deps.currencyCode);
    const begun = await beginOnce(deps, request, call);
    // Who has gone may have given the order up: nothing must be set aside for it any more. What is written down by now is
    // settled by its key.
    call.signal.throwIfAborted();
    const { operation, payment } = await finish(deps, begun, () =>
      deps.gateway.authorize({
        key: begun.operation.id,
        amount: amount.minorUnits,
        currencyCode: amount.currencyCode,
        paymentToken,
        reference: orderId,
      }),
    );
    if (operation.state === "DONE") return { payment: paymentMessage(payment) };
    const declineCode = operation.failureCode ?? "";
    throw fail("PAYMENT_DECLINED", `The payment was declined: ${declineCode}.`, { decline_code: declineCode });
  };

async function beginOnce(deps: Deps, request: AuthorizePaymentRequest, call: Call): Promise<Performed> {
  const key = { principal: principalOf(call), kind: "AUTHORIZE", requestId: request.requestId } as const;
  // The payment token is not kept, not even as a part of a digest.
  const requestSha256 = digestOf(call, { ...request, paymentToken: "" });
  const attempt = (): Promise<Performed> =>
    deps.db.transaction((tx) => {
      call.signal.throwIfAborted();
      return begin(deps, tx, { request, key, requestSha256 });
    }, timeLimit(call));
  try {
    return await attempt();
  } catch (error) {
    if (!isUniqueViolation(error, "operations_once") && !isUniqueViolation(error, "payments_one_live_per_order")) {
      throw error;
    }
  }
  // Somebody was faster: a copy of this request, which is found now, or another payment of the order.
  const live = await store.findLivePayment(deps.db, request.orderId);
  try {
    return await attempt();
  } catch (error) {
    if (!isUniqueViolation(error, "payments_one_live_per_order")) throw error;
    throw fail("ORDER_HAS_PAYMENT", "The order has a live payment already.", { payment_id: live?.id ?? "" });
  }
}

interface Beginning {
  readonly request: AuthorizePaymentRequest;
  readonly key: operationStore.OperationKey;
  readonly requestSha256: Buffer;
}

async function begin(
  { clock, newId, gateway, currencyCode }: Deps,
  tx: Transaction,
  { request, key, requestSha256 }: Beginning,
): Promise<Performed> {
  const earlier = await earlierCopy(tx, key, requestSha256);
  if (earlier !== undefined) {
    const payment = await store.getPayment(tx, earlier.paymentId);
    if (payment === undefined) throw new Error(`payment ${earlier.paymentId} is gone, and none is ever deleted`);
    return { operation: earlier, payment };
  }
  const now = clock.now();
  const amount = request.amount?.minorUnits ?? 0n;
  const paymentId = newId("pay");
  const operation = newOperation({ clock, newId }, { paymentId, kind: "AUTHORIZE", requestSha256, amount, note: "" });
  const payment: store.PaymentRow = {
    id: paymentId,
    orderId: request.orderId,
    customerId: request.customerId,
    state: "PENDING",
    currencyCode,
    amount,
    captured: 0n,
    refunded: 0n,
    provider: gateway.name,
    authorizationReference: undefined,
    captureReference: undefined,
    declineCode: undefined,
    expireTime: undefined,
    pendingOperationId: operation.id,
    createTime: now,
    updateTime: now,
  };
  await store.insertPayment(tx, payment, operation.id);
  await noteOperation(tx, operation, key);
  return { operation, payment };
}
