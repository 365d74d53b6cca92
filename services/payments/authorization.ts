import { AuthorizePaymentRequest } from "#gen/shop/payments/v1/payment_service.ts";
import { principalOf, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { currencyMismatch, earlierCopy, newOperation, noting, sha256 } from "./change-payment.ts";
import type { Deps } from "./deps.ts";
import * as operationStore from "./operation-store.ts";
import { ABANDONED, type Performed } from "./operations.ts";
import * as store from "./store.ts";

/** A wish to set money aside, without the payment token: it is not kept, not even as a part of a digest. */
export interface Wish {
  readonly request: Omit<AuthorizePaymentRequest, "paymentToken">;
  readonly amount: bigint;
  readonly key: operationStore.OperationKey;
  readonly requestSha256: Buffer;
}

/** What a caller wishes to have set aside, or to know the end of. Throws CURRENCY_MISMATCH. */
export function wishOf({ currencyCode }: Deps, call: Pick<Call, "caller" | "user">, request: Wish["request"]): Wish {
  const { requestId, orderId, customerId, amount } = request;
  if (amount?.currencyCode !== currencyCode) throw currencyMismatch(currencyCode);
  const withoutToken = { requestId, orderId, customerId, amount, paymentToken: "" };
  return {
    request,
    amount: amount.minorUnits,
    key: { principal: principalOf(call), kind: "AUTHORIZE", requestId },
    requestSha256: sha256(AuthorizePaymentRequest.encode(withoutToken).finish()),
  };
}

/** What an earlier copy of the request has come to; undefined when there was none. Throws REQUEST_ID_REUSED. */
export async function earlierWish(tx: Transaction, { key, requestSha256 }: Wish): Promise<Performed | undefined> {
  const operation = await earlierCopy(tx, key, requestSha256);
  if (operation === undefined) return undefined;
  return { operation, payment: await store.loadPayment(tx, operation.paymentId) };
}

/**
 * Writes a payment down with its authorization: to be asked for now, or as given up before it ever was, so that nobody
 * can ask for it any more.
 */
export async function noteAuthorization(
  deps: Deps,
  tx: Transaction,
  { request, amount, key, requestSha256 }: Wish,
  end: "asked" | "abandoned",
): Promise<Performed> {
  const paymentId = deps.newId("pay");
  const asked = newOperation(deps, { paymentId, kind: "AUTHORIZE", requestSha256, amount, note: "" });
  const operation: operationStore.OperationRow =
    end === "asked" ? asked : { ...asked, state: "FAILED", failureCode: ABANDONED, askedTime: undefined };
  const payment: store.PaymentRow = {
    id: paymentId,
    orderId: request.orderId,
    customerId: request.customerId,
    state: end === "asked" ? "PENDING" : "DECLINED",
    currencyCode: deps.currencyCode,
    amount,
    captured: 0n,
    refunded: 0n,
    provider: deps.gateway.name,
    authorizationReference: undefined,
    captureReference: undefined,
    declineCode: operation.failureCode,
    expireTime: undefined,
    pendingOperationId: end === "asked" ? operation.id : undefined,
    createTime: operation.createTime,
    updateTime: operation.createTime,
  };
  await operationStore.insertAuthorization(tx, payment, operation, noting(operation, key));
  return { operation, payment };
}
