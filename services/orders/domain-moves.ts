import { MAX_HOLDS, type Rejection, type Saga, type SagaEvent, type Step } from "./domain-saga.ts";

/** What a move changes; undefined for an event that cannot happen there. */
export type Move = (Partial<Saga> & { readonly note: string; readonly afterQuiet?: boolean }) | undefined;

/** Where each step leads, by what happens there. */
export const moves: Readonly<Record<Step, (saga: Saga, event: SagaEvent) => Move>> = {
  reserve_stock: onReserveStock,
  authorize_payment: onAuthorizePayment,
  settle_payment: onSettlePayment,
  capture_payment: onCapturePayment,
  commit_stock: onCommitStock,
  reserve_again: onReserveAgain,
  clear_cart: (_saga, { kind }) => (kind === "cart_cleared" ? { step: "done", note: "cart cleared" } : undefined),
  void_payment: onVoidPayment,
  refund_payment: (_saga, event) =>
    event.kind === "payment_refunded"
      ? { step: "release_stock", refunded: event.amount, note: "payment refunded" }
      : undefined,
  release_stock: onReleaseStock,
  done: () => undefined,
};

function onReserveStock({ state }: Saga, event: SagaEvent): Move {
  const cancelling = state === "CANCELLING";
  switch (event.kind) {
    case "stock_reserved":
      return {
        step: cancelling ? "release_stock" : "authorize_payment",
        reservationId: event.reservationId,
        note: "stock held",
      };
    case "stock_short":
      if (cancelling) return { state: "CANCELLED", step: "done", note: "cancelled; nothing was held" };
      return { state: "REJECTED", step: "done", rejection: outOfStock(event.available), note: "out of stock" };
    case "cancel_requested":
      return cancelling ? undefined : { state: "CANCELLING", note: "cancellation asked for" };
    default:
      return undefined;
  }
}

function onAuthorizePayment(saga: Saga, event: SagaEvent): Move {
  if (event.kind === "authorization_abandoned") {
    return { step: "settle_payment", note: "outcome of the payment unknown", afterQuiet: true };
  }
  return onAuthorizationKnown(saga, event);
}

function onSettlePayment(saga: Saga, event: SagaEvent): Move {
  if (event.kind === "token_returned") {
    // Under the key of the first time: what was asked then and this are one authorization. Who cancels wants none.
    return saga.state === "CANCELLING" ? undefined : { step: "authorize_payment", note: "payment token came again" };
  }
  if (event.kind !== "payment_absent") return onAuthorizationKnown(saga, event);
  return refused(saga, "not_completed", "payment not completed");
}

function onAuthorizationKnown(saga: Saga, event: SagaEvent): Move {
  const cancelling = saga.state === "CANCELLING";
  switch (event.kind) {
    case "payment_authorized": {
      const { paymentId } = event;
      if (cancelling) return { step: "void_payment", paymentId, note: "payment authorized" };
      return { state: "CONFIRMED", step: "capture_payment", paymentId, note: "payment authorized" };
    }
    case "payment_declined":
      return refused(saga, event.declineCode, "payment declined");
    case "cancel_requested":
      return cancelling ? undefined : { state: "CANCELLING", note: "cancellation asked for" };
    default:
      return undefined;
  }
}

/** No payment will come: the hold is given back, and the order is rejected, or cancelled as was asked. */
function refused(saga: Saga, declineCode: string, note: string): Move {
  if (saga.state === "CANCELLING") return { step: "release_stock", note };
  return { step: "release_stock", rejection: declined(declineCode), note };
}

function onCapturePayment(_saga: Saga, event: SagaEvent): Move {
  switch (event.kind) {
    case "payment_captured":
      return { step: "commit_stock", note: "payment captured" };
    case "payment_lapsed":
      return { state: "CANCELLING", step: "release_stock", note: "authorization lapsed before it was captured" };
    case "capture_refused":
      return { state: "CANCELLING", step: "void_payment", note: "payment could not be captured" };
    case "cancel_requested":
      // A capture under way does no harm: a void finds it and leads to a refund, or is first and it fails.
      return { state: "CANCELLING", step: "void_payment", note: "cancellation asked for" };
    default:
      return undefined;
  }
}

function onCommitStock({ holds }: Saga, event: SagaEvent): Move {
  switch (event.kind) {
    case "stock_committed":
      return { state: "PAID", step: "clear_cart", note: "stock sold" };
    case "hold_lapsed":
      if (holds >= MAX_HOLDS) return { state: "CANCELLING", step: "refund_payment", note: "stock could not be kept" };
      return { step: "reserve_again", holds: holds + 1, note: "hold ran out; holding again" };
    // Not to be cancelled: a commit may be under way, and sold stock is not taken back from here.
    default:
      return undefined;
  }
}

function onReserveAgain({ state }: Saga, event: SagaEvent): Move {
  const cancelling = state === "CANCELLING";
  switch (event.kind) {
    case "stock_reserved": {
      const { reservationId } = event;
      return { step: cancelling ? "refund_payment" : "commit_stock", reservationId, note: "stock held again" };
    }
    case "stock_short":
      return { state: "CANCELLING", step: "refund_payment", note: "out of stock" };
    case "cancel_requested":
      return cancelling ? undefined : { state: "CANCELLING", note: "cancellation asked for" };
    default:
      return undefined;
  }
}

function onVoidPayment(_saga: Saga, { kind }: SagaEvent): Move {
  if (kind === "payment_voided") return { step: "release_stock", note: "payment let go" };
  if (kind === "payment_was_captured") return { step: "refund_payment", note: "payment was captured" };
  return undefined;
}

function onReleaseStock({ state }: Saga, { kind }: SagaEvent): Move {
  if (kind !== "stock_released") return undefined;
  return { state: state === "PENDING" ? "REJECTED" : "CANCELLED", step: "done", note: "stock given back" };
}

function outOfStock(available: Readonly<Record<string, string>>): Rejection {
  const metadata = Object.fromEntries(Object.entries(available).map(([sku, units]) => [`available.${sku}`, units]));
  const skus = Object.keys(available).sort().join(", ");
  return { reason: "OUT_OF_STOCK", message: `There is not enough in stock: ${skus}.`, metadata };
}

function declined(declineCode: string): Rejection {
  return {
    reason: "PAYMENT_DECLINED",
    message: "The payment did not go through. Nothing was charged.",
    metadata: { decline_code: declineCode },
  };
}
