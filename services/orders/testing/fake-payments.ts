import { type Payment, Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type {
  AuthorizePaymentRequest,
  CapturePaymentRequest,
  CreateRefundRequest,
  ListPaymentsRequest,
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
  /** Notes a payment of which the payment gateway's answer is not known. */
  leavePending(orderId: string): void;
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
  const createRefund = async ({ paymentId, amount }: CreateRefundRequest) => {
    const payment = find(paymentId);
    if (payment.state !== Payment_State.CAPTURED) throw conflict(payment);
    return { refund: undefined, payment: change(payment, { refunded: amount }) };
  };
  const listPayments = async ({ orderId }: ListPaymentsRequest) => ({
    payments: [...payments.values()].filter((payment) => payment.orderId === orderId).reverse(),
    nextPageToken: "",
  });
  const authorizePayment = authorize(books);
  const handlers = { authorizePayment, capturePayment, voidPayment, createRefund, listPayments };
  return {
    payments,
    lapse: (paymentId) => {
      change(find(paymentId), { state: Payment_State.EXPIRED });
    },
    leavePending: (orderId) => {
      books.add({ orderId });
    },
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
    const body = JSON.stringify([orderId, customerId, `${amount?.minorUnits}`, paymentToken]);
    const known = byRequest.get(requestId);
    if (known !== undefined && known.body !== body) throw meshFailure("REQUEST_ID_REUSED", "reused");
    const other = [...payments.values()].find((one) => one.orderId === orderId && live.includes(one.state));
    if (known === undefined && other !== undefined) throw fail("ORDER_HAS_PAYMENT", "paid", { payment_id: other.id });
    const payment = known === undefined ? add({ orderId, customerId, amount }) : find(known.paymentId);
    byRequest.set(requestId, { body, paymentId: payment.id });
    const declined = paymentToken === "tok_declined";
    if (payment.state === Payment_State.PENDING) {
      const state = declined ? Payment_State.DECLINED : Payment_State.AUTHORIZED;
      change(payment, { state, declineCode: declined ? "card_declined" : "" });
    }
    if (declined) throw fail("PAYMENT_DECLINED", "declined", { decline_code: "card_declined" });
    return { payment: find(payment.id) };
  };

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
