import { type Payment, Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type {
  AuthorizePaymentRequest,
  CapturePaymentRequest,
  CreateRefundRequest,
  SettleAuthorizationRequest,
  VoidPaymentRequest,
} from "#gen/shop/payments/v1/payment_service.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import { type Interference, partialService } from "./partial-service.ts";

/** Payments in memory. The token `tok_declined` is declined, all others are good. */
export interface FakePayments {
  readonly payments: Map<string, Payment>;
  /** Has an authorization lapse, as one does that nobody captures. */
  lapse(paymentId: string): void;
  /** Refunds that were made, by request_id. */
  readonly refunds: Map<string, bigint>;
  readonly service: Implementation;
}

const fail = failures(PaymentService);
const live: readonly Payment["state"][] = [Payment_State.PENDING, Payment_State.AUTHORIZED, Payment_State.CAPTURED];

export function fakePayments(interference: Interference): FakePayments {
  const books = newBooks();
  const { payments, find, change } = books;
  const capturePayment = async ({ paymentId, amount }: CapturePaymentRequest) => {
    const payment = find(paymentId);
    if (payment.state === Payment_State.CAPTURED) return { payment };
    if (payment.state !== Payment_State.AUTHORIZED) throw conflict(payment);
    return { payment: change(payment, { state: Payment_State.CAPTURED, captured: amount }) };
  };
  const voidPayment = async ({ paymentId }: VoidPaymentRequest) => {
    const payment = find(paymentId);
    if (payment.state === Payment_State.CAPTURED) throw conflict(payment);
    const open = payment.state === Payment_State.PENDING || payment.state === Payment_State.AUTHORIZED;
    return { payment: open ? change(payment, { state: Payment_State.VOIDED }) : payment };
  };
  const refunds = new Map<string, bigint>();
  const createRefund = async ({ requestId, paymentId, amount }: CreateRefundRequest) => {
    const payment = find(paymentId);
    const minorUnits = amount?.minorUnits ?? 0n;
    const known = refunds.get(requestId);
    if (known !== undefined && known !== minorUnits) throw meshFailure("REQUEST_ID_REUSED", "reused");
    if (known !== undefined) return { refund: undefined, payment };
    if (payment.state !== Payment_State.CAPTURED) throw conflict(payment);
    const refunded = (payment.refunded?.minorUnits ?? 0n) + minorUnits;
    if (refunded > (payment.captured?.minorUnits ?? 0n)) throw fail("AMOUNT_TOO_LARGE", "too much");
    refunds.set(requestId, minorUnits);
    const currencyCode = amount?.currencyCode ?? "";
    return { refund: undefined, payment: change(payment, { refunded: { currencyCode, minorUnits: refunded } }) };
  };
  const authorizePayment = authorize(books);
  const settleAuthorization = settle(books);
  const handlers = { authorizePayment, settleAuthorization, capturePayment, voidPayment, createRefund };
  return {
    payments,
    lapse: (paymentId) => {
      change(find(paymentId), { state: Payment_State.EXPIRED });
    },
    refunds,
    service: partialService(PaymentService, handlers, interference),
  };
}

function newBooks() {
  const payments = new Map<string, Payment>();
  const change = (payment: Payment, changes: Partial<Payment>): Payment => {
    const changed = { ...payment, ...changes };
    payments.set(payment.id, changed);
    return changed;
  };
  return {
    payments,
    byRequest: new Map<string, { readonly body: string; readonly paymentId: string }>(),
    change,
    add: (changes: Partial<Payment>) => change({ ...emptyPayment, id: `pay_${payments.size + 1}` }, changes),
    find: (id: string): Payment => {
      const found = payments.get(id);
      if (found === undefined) throw fail("PAYMENT_NOT_FOUND", "no such payment");
      return found;
    },
  };
}

const authorize =
  ({ payments, byRequest, change, add, find }: ReturnType<typeof newBooks>) =>
  async ({ requestId, orderId, customerId, amount, paymentToken }: AuthorizePaymentRequest) => {
    const body = bodyOf({ orderId, customerId, amount });
    const known = byRequest.get(requestId);
    if (known !== undefined && known.body !== body) throw meshFailure("REQUEST_ID_REUSED", "reused");
    const other = [...payments.values()].find((one) => one.orderId === orderId && live.includes(one.state));
    if (known === undefined && other !== undefined) throw fail("ORDER_HAS_PAYMENT", "paid", { payment_id: other.id });
    const payment = known === undefined ? add({ orderId, customerId, amount }) : find(known.paymentId);
    byRequest.set(requestId, { body, paymentId: payment.id });
    if (payment.state === Payment_State.PENDING) {
      const declined = paymentToken === "tok_declined";
      const state = declined ? Payment_State.DECLINED : Payment_State.AUTHORIZED;
      change(payment, { state, declineCode: declined ? "card_declined" : "" });
    }
    const { state, declineCode } = find(payment.id);
    if (state === Payment_State.DECLINED) throw fail("PAYMENT_DECLINED", "declined", { decline_code: declineCode });
    return { payment: find(payment.id) };
  };

/** What was never asked for is declined from now on. */
const settle =
  ({ byRequest, add, find }: ReturnType<typeof newBooks>) =>
  async ({ requestId, orderId, customerId, amount }: SettleAuthorizationRequest) => {
    const body = bodyOf({ orderId, customerId, amount });
    const known = byRequest.get(requestId);
    if (known !== undefined && known.body !== body) throw meshFailure("REQUEST_ID_REUSED", "reused");
    if (known !== undefined) return { payment: find(known.paymentId) };
    const payment = add({ orderId, customerId, amount, state: Payment_State.DECLINED, declineCode: "abandoned" });
    byRequest.set(requestId, { body, paymentId: payment.id });
    return { payment };
  };

const bodyOf = ({ orderId, customerId, amount }: Omit<SettleAuthorizationRequest, "requestId">): string =>
  JSON.stringify([orderId, customerId, `${amount?.minorUnits}`]);

function conflict(payment: Payment): Error {
  const state = Object.entries(Payment_State).find(([, value]) => value === payment.state)?.[0] ?? "";
  return fail("STATE_CONFLICT", "not in this state", { state });
}

const emptyPayment: Payment = {
  id: "",
  orderId: "",
  customerId: "",
  state: Payment_State.PENDING,
  amount: undefined,
  captured: undefined,
  refunded: undefined,
  provider: "fake",
  providerReference: "",
  declineCode: "",
  expireTime: undefined,
  createTime: undefined,
  updateTime: undefined,
};
