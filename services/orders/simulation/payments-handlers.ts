import { type Payment, Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Handlers } from "./clients.ts";
import type { GatewayAnswer } from "./payment-gateway.ts";
import type { AskGateway } from "./payments.ts";
import { ABANDONED, type Books, type Kind, type Operation, type PaymentRow } from "./payments-books.ts";
import type { World } from "./world.ts";

const fail = failures(PaymentService);

/** How long after it was noted an authorization may still be sent. */
const SEND_WITHIN_MS = 5_000;
/** How often a change waits for another operation of the same payment to end before it gives up. */
const MAX_WAITS = 3;

interface Parts {
  readonly world: World;
  readonly books: Books;
  readonly note: Books["note"];
  readonly reopen: Books["reopen"];
  readonly finish: (operation: Operation, ask?: () => Promise<GatewayAnswer | undefined>) => Promise<void>;
  readonly askGateway: AskGateway;
}

/** What payments does with a request, and with one that came before. */
export function paymentHandlers(parts: Parts): Handlers<typeof PaymentService> {
  const { books } = parts;
  return {
    authorizePayment: authorizePayment(parts),
    settleAuthorization: settleAuthorization(parts),
    capturePayment: async (request) => {
      const minorUnits = request.amount?.minorUnits ?? 0n;
      const { payment } = await change(parts, "CAPTURE", request, (row) => {
        if (row.state === "CAPTURED" && row.captured === minorUnits) return "unchanged";
        if (row.state !== "AUTHORIZED") throw conflict(row);
        if (minorUnits > row.amount) throw tooLarge(row.amount);
        return minorUnits;
      });
      return { payment: messageOf(payment) };
    },
    voidPayment: async (request) => {
      const { payment } = await change(parts, "VOID", request, (row) => {
        if (row.state === "PENDING" || row.state === "CAPTURED") throw conflict(row);
        return row.state === "AUTHORIZED" ? row.amount : "unchanged";
      });
      return { payment: messageOf(payment) };
    },
    createRefund: async (request) => {
      const minorUnits = request.amount?.minorUnits ?? 0n;
      const { payment } = await change(parts, "REFUND", request, (row) => {
        if (row.state !== "CAPTURED") throw conflict(row);
        if (minorUnits > row.captured - row.refunded) throw tooLarge(row.captured - row.refunded);
        return minorUnits;
      });
      return { refund: undefined, payment: messageOf(payment) };
    },
    listPayments: ({ orderId }) => ({
      payments: [...books.payments.values()]
        .filter((row) => row.orderId === orderId)
        .map(messageOf)
        .reverse(),
      nextPageToken: "",
    }),
  };
}

const authorizePayment = ({ world, books, note, finish, askGateway }: Parts) => {
  const begin = (wish: Wish): Operation => {
    const { requestId, orderId, customerId } = wish;
    const amount = wish.amount?.minorUnits ?? 0n;
    const earlier = books.earlier("AUTHORIZE", requestId, wish);
    if (earlier !== undefined) {
      if (earlier.state === "PENDING") earlier.askedMs = world.nowMs;
      return earlier;
    }
    const live = books.findLive(orderId);
    if (live !== undefined) throw fail("ORDER_HAS_PAYMENT", live.id, { payment_id: live.id });
    const payment = books.addPayment({ orderId, customerId, amount });
    const asked = { state: "PENDING", askedMs: world.nowMs } as const;
    return note({ kind: "AUTHORIZE", payment, request: wish, amount, ...asked }, requestId);
  };
  const handler: NonNullable<Handlers<typeof PaymentService>["authorizePayment"]> = async ({
    paymentToken,
    ...wish
  }) => {
    const operation = begin(wish);
    const { id: key, amount, askedMs = 0 } = operation;
    const request = { key, amount, token: paymentToken, reference: wish.orderId };
    await finish(operation, async () => {
      if (world.nowMs - askedMs >= SEND_WITHIN_MS) return undefined;
      return (await askGateway(`authorize ${key}`, (gateway) => gateway.authorize(request)))?.answer;
    });
    if (operation.state === "DONE") return { payment: messageOf(operation.payment) };
    const { failureCode } = operation;
    throw fail("PAYMENT_DECLINED", failureCode, { decline_code: failureCode });
  };
  return handler;
};

/** The request of an authorization, without the payment token, which is not kept. */
type Wish = Parameters<NonNullable<Handlers<typeof PaymentService>["settleAuthorization"]>>[0];

const settleAuthorization = ({ books, note, finish }: Parts) => {
  const handler: NonNullable<Handlers<typeof PaymentService>["settleAuthorization"]> = async (wish) => {
    const { requestId, orderId, customerId } = wish;
    const earlier = books.earlier("AUTHORIZE", requestId, wish);
    if (earlier !== undefined) {
      await finish(earlier);
      return { payment: messageOf(earlier.payment) };
    }
    const live = books.findLive(orderId);
    if (live !== undefined) throw fail("ORDER_HAS_PAYMENT", live.id, { payment_id: live.id });
    const amount = wish.amount?.minorUnits ?? 0n;
    const payment = books.addPayment({ orderId, customerId, amount });
    payment.state = "DECLINED";
    payment.declineCode = ABANDONED;
    const fence = { state: "FAILED", askedMs: undefined } as const;
    note({ kind: "AUTHORIZE", payment, request: wish, amount, ...fence }, requestId).failureCode = ABANDONED;
    return { payment: messageOf(payment) };
  };
  return handler;
};

/** Operations of one payment take turns: one that finds another under way first has that one's outcome settled. */
async function change(
  { books, note, reopen, finish }: Parts,
  kind: Exclude<Kind, "AUTHORIZE">,
  request: { readonly requestId: string; readonly paymentId: string },
  plan: (payment: PaymentRow) => bigint | "unchanged",
): Promise<Operation> {
  for (let waits = 0; ; waits += 1) {
    const { operation, busy } = begin();
    if (busy && waits === MAX_WAITS) throw fail("OUTCOME_UNKNOWN", "others are under way");
    await finish(operation);
    if (busy) continue;
    if (operation.state === "DONE" || plan(operation.payment) === "unchanged") return operation;
    throw conflict(operation.payment);
  }

  function begin(): { readonly operation: Operation; readonly busy: boolean } {
    const payment = books.payments.get(request.paymentId);
    if (payment === undefined) throw fail("PAYMENT_NOT_FOUND", request.paymentId);
    const earlier = books.earlier(kind, request.requestId, request);
    if (earlier !== undefined && earlier.state !== "FAILED") return { operation: earlier, busy: false };
    if (payment.pending !== undefined) return { operation: payment.pending, busy: true };
    const planned = plan(payment);
    const amount = planned === "unchanged" ? payment.amount : planned;
    const state = planned === "unchanged" ? ("DONE" as const) : ("PENDING" as const);
    if (earlier !== undefined) return { operation: reopen(earlier, state), busy: false };
    return {
      operation: note({ kind, payment, request, amount, state, askedMs: undefined }, request.requestId),
      busy: false,
    };
  }
}

function conflict({ state }: PaymentRow) {
  return fail("STATE_CONFLICT", state, { state });
}

function tooLarge(limit: bigint) {
  return fail("AMOUNT_TOO_LARGE", `at most ${limit}`, { limit_minor_units: String(limit) });
}

function messageOf(row: PaymentRow): Payment {
  const money = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
  return {
    id: row.id,
    orderId: row.orderId,
    customerId: row.customerId,
    state: Payment_State[row.state],
    amount: money(row.amount),
    captured: money(row.captured),
    refunded: money(row.refunded),
    provider: "simulated",
    providerReference: row.reference ?? "",
    declineCode: row.declineCode,
    expireTime: row.expireMs === 0 ? undefined : new Date(row.expireMs),
    createTime: undefined,
    updateTime: undefined,
  };
}
