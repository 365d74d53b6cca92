import { onCancelShipment, onCreateShipment, onGoodsMoved } from "./domain-delivery.ts";
import { nextPaidStep, onDueRefunded, onDueRestocked, onPaidRequest } from "./domain-due.ts";
import { isPaid, MAX_HOLDS, type Move, type Rejection, type Saga, type SagaEvent, type Step } from "./domain-saga.ts";

/** Where an event leads. What people ask of a paid order, and where its goods are, does not depend on its step. */
export function moveFor(saga: Saga, event: SagaEvent): Move {
  const asked = isPaid(saga.state) ? onPaidRequest(saga, event) : undefined;
  return asked ?? onGoodsMoved(saga, event) ?? moves[saga.step](saga, event);
}

/** Where each step leads, by what happens there. */
const moves: Readonly<Record<Step, (saga: Saga, event: SagaEvent) => Move>> = {
  reserve_stock: onReserveStock,
  authorize_payment: onAuthorizePayment,
  settle_payment: onSettlePayment,
  capture_payment: onCapturePayment,
  commit_stock: onCommitStock,
  reserve_again: onReserveAgain,
  create_shipment: onCreateShipment,
  cancel_shipment: onCancelShipment,
  clear_cart: onClearCart,
  void_payment: onVoidPayment,
  refund_payment: onRefundPayment,
  release_stock: onReleaseStock,
  restock: onRestock,
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
    // Who cancels wants no authorization, and waits for no token.
    const awaitsToken = saga.state === "PENDING";
    return { step: "settle_payment", note: "outcome of the payment unknown", awaitsToken };
  }
  return onAuthorizationKnown(saga, event);
}

function onSettlePayment(saga: Saga, event: SagaEvent): Move {
  if (event.kind === "token_returned") {
    // Under the key of the first time: what was asked then and this are one authorization. Who cancels wants none.
    return saga.state === "CANCELLING" ? undefined : { step: "authorize_payment", note: "payment token came again" };
  }
  return onAuthorizationKnown(saga, event);
}

function onAuthorizationKnown(saga: Saga, event: SagaEvent): Move {
  const cancelling = saga.state === "CANCELLING";
  switch (event.kind) {
    case "payment_authorized": {
      const { paymentId } = event;
      if (cancelling) return { step: "void_payment", paymentId, note: "payment authorized" };
      return { state: "CONFIRMED", step: "clear_cart", paymentId, note: "payment authorized" };
    }
    case "payment_declined":
      // The hold is given back, and the order is rejected; or cancelled, as was asked.
      if (cancelling) return { step: "release_stock", note: "payment declined" };
      return { step: "release_stock", rejection: declined(event.declineCode), note: "payment declined" };
    case "cancel_requested":
      return cancelling ? undefined : { state: "CANCELLING", note: "cancellation asked for" };
    default:
      return undefined;
  }
}

/** Before the capture, so that whoever shops on finds a cart without the goods; at the end, when that did not work out. */
function onClearCart(saga: Saga, { kind }: SagaEvent): Move {
  if (saga.state !== "CONFIRMED") {
    return kind === "cart_cleared" ? { step: "done", cartCleared: true, note: "cart cleared" } : undefined;
  }
  switch (kind) {
    case "cart_cleared":
      return { step: "capture_payment", cartCleared: true, note: "cart cleared" };
    case "cart_postponed":
      return { step: "capture_payment", note: "cart not reached; cleared later" };
    case "cancel_requested":
      return { state: "CANCELLING", step: "void_payment", note: "cancellation asked for" };
    default:
      return undefined;
  }
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

function onCommitStock(saga: Saga, event: SagaEvent): Move {
  const { holds } = saga;
  switch (event.kind) {
    case "stock_committed":
      return { state: "PAID", step: nextPaidStep(saga), note: "stock sold" };
    case "hold_lapsed":
      if (holds >= MAX_HOLDS) return { state: "CANCELLING", step: "refund_payment", note: "stock could not be kept" };
      return { step: "reserve_again", holds: holds + 1, note: "hold ran out; holding again" };
    case "cancel_requested":
      // A commit under way does no harm: a release finds it and leads to a restock, or is first and it fails.
      return { state: "CANCELLING", step: "refund_payment", note: "cancellation asked for" };
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

/** Of a cancelled order everything is given back; otherwise what is due first. */
function onRefundPayment(saga: Saga, event: SagaEvent): Move {
  if (event.kind !== "payment_refunded") return undefined;
  if (saga.state !== "CANCELLING") return onDueRefunded(saga, event.amount);
  const errands = [{ kind: "mail_refund", subject: "cancellation", amount: event.amount }] as const;
  return { step: "release_stock", refunded: saga.refunded + event.amount, note: "payment refunded", errands };
}

function onReleaseStock({ state }: Saga, { kind }: SagaEvent): Move {
  if (kind === "stock_was_committed") {
    // Nothing is sold before the payment is captured, and what is rejected was never captured.
    return state === "CANCELLING" ? { step: "restock", note: "stock was sold" } : undefined;
  }
  if (kind !== "stock_released") return undefined;
  return { state: state === "PENDING" ? "REJECTED" : "CANCELLED", step: "done", note: "stock given back" };
}

function onRestock(saga: Saga, { kind }: SagaEvent): Move {
  if (kind !== "stock_restocked") return undefined;
  if (saga.state !== "CANCELLING") return onDueRestocked(saga);
  return { state: "CANCELLED", step: "done", note: "sold stock taken back" };
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
