import type { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type {
  CapturePaymentRequest,
  CapturePaymentResponse,
  CreateRefundRequest,
  CreateRefundResponse,
  GetLedgerBalancesRequest,
  GetLedgerBalancesResponse,
  GetPaymentRequest,
  GetPaymentResponse,
  ListPaymentsRequest,
  ListPaymentsResponse,
  VoidPaymentRequest,
  VoidPaymentResponse,
} from "#gen/shop/payments/v1/payment_service.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { authorizePayment } from "./authorize-payment.ts";
import { changePayment } from "./change-payment.ts";
import { type Deps, fail } from "./deps.ts";
import { planCapture, planRefund, planVoid } from "./domain.ts";
import { handleWebhook } from "./handle-webhook.ts";
import { paymentMessage, refundMessage } from "./messages.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import { listDiscrepancies, reconcilePayments } from "./reconcile-payments.ts";
import { settleAuthorization } from "./settle-authorization.ts";
import * as store from "./store.ts";

const PAGE_SIZE = 20;

/** The handlers of `shop.payments.v1.PaymentService`. */
export function paymentHandlers(deps: Deps): Handlers<typeof PaymentService> {
  return {
    authorizePayment: authorizePayment(deps),
    settleAuthorization: settleAuthorization(deps),
    capturePayment: capturePayment(deps),
    voidPayment: voidPayment(deps),
    createRefund: createRefund(deps),
    getPayment: getPayment(deps),
    listPayments: listPayments(deps),
    handleWebhook: handleWebhook(deps),
    getLedgerBalances: getLedgerBalances(deps),
    reconcilePayments: reconcilePayments(deps),
    listDiscrepancies: listDiscrepancies(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomerData: eraseCustomerData(deps),
  };
}

const capturePayment =
  (deps: Deps) =>
  async (request: CapturePaymentRequest, call: Call): Promise<CapturePaymentResponse> => {
    const { payment } = await changePayment(deps, request, call, {
      kind: "CAPTURE",
      paymentId: request.paymentId,
      note: "",
      plan: (standing) => planCapture(standing, request.amount),
    });
    return { payment: paymentMessage(payment) };
  };

const voidPayment =
  (deps: Deps) =>
  async (request: VoidPaymentRequest, call: Call): Promise<VoidPaymentResponse> => {
    const { payment } = await changePayment(deps, request, call, {
      kind: "VOID",
      paymentId: request.paymentId,
      note: "",
      plan: planVoid,
    });
    return { payment: paymentMessage(payment) };
  };

const createRefund =
  (deps: Deps) =>
  async (request: CreateRefundRequest, call: Call): Promise<CreateRefundResponse> => {
    const { amount, paymentId, note } = request;
    if (amount === undefined) throw new TypeError("a refund without an amount passed validation");
    const { operation, payment } = await changePayment(deps, request, call, {
      kind: "REFUND",
      paymentId,
      note,
      plan: (standing) => planRefund(standing, amount),
    });
    return {
      refund: refundMessage(operation, payment.currencyCode),
      payment: paymentMessage(payment),
    };
  };

const getPayment =
  ({ db }: Deps) =>
  async ({ paymentId }: GetPaymentRequest, call: Call): Promise<GetPaymentResponse> => {
    const payment = await store.getPayment(db, paymentId);
    if (payment === undefined || !maySee(call, payment)) throw fail("PAYMENT_NOT_FOUND", "There is no such payment.");
    return { payment: paymentMessage(payment) };
  };

/** Payers see their own; so do those whose work it is, and services that act for nobody. */
function maySee({ user, caller }: Call, payment: store.PaymentRow): boolean {
  if (user === undefined) return caller !== "gateway";
  return user.id === payment.customerId || user.roles.includes("admin") || user.roles.includes("support");
}

const listPayments =
  ({ db }: Deps) =>
  async ({ orderId, pageSize, pageToken }: ListPaymentsRequest): Promise<ListPaymentsResponse> => {
    const filter = { orderId };
    const beforeId = decodeIdToken(filter, pageToken, "pay");
    const limit = pageSize === 0 ? PAGE_SIZE : pageSize;
    const wanted = { orderId: orderId === "" ? undefined : orderId, beforeId, limit: limit + 1 };
    const { items, nextPageToken } = pageById(await store.listPayments(db, wanted), { limit, filter });
    return { payments: items.map(paymentMessage), nextPageToken };
  };

const getLedgerBalances =
  ({ db }: Deps) =>
  async ({ currencyCode }: GetLedgerBalancesRequest): Promise<GetLedgerBalancesResponse> => ({
    balances: await store.ledgerBalances(db, currencyCode === "" ? undefined : currencyCode),
  });
