import { type Transition, transition } from "../domain.ts";
import type { Saga, SagaEvent, Step } from "../domain-saga.ts";

export const reserved: SagaEvent = { kind: "stock_reserved", reservationId: "res_1" };
export const short: SagaEvent = { kind: "stock_short", available: { "SKU-1": "2" } };
export const authorized: SagaEvent = { kind: "payment_authorized", paymentId: "pay_1" };
export const declined: SagaEvent = { kind: "payment_declined", declineCode: "card_declined" };
export const abandoned: SagaEvent = { kind: "authorization_abandoned" };
export const tokenReturned: SagaEvent = { kind: "token_returned" };
export const absent: SagaEvent = { kind: "payment_absent" };
export const captured: SagaEvent = { kind: "payment_captured" };
export const lapsed: SagaEvent = { kind: "payment_lapsed" };
export const captureRefused: SagaEvent = { kind: "capture_refused" };
export const committed: SagaEvent = { kind: "stock_committed" };
export const holdLapsed: SagaEvent = { kind: "hold_lapsed" };
export const cleared: SagaEvent = { kind: "cart_cleared" };
export const voided: SagaEvent = { kind: "payment_voided" };
export const wasCaptured: SagaEvent = { kind: "payment_was_captured" };
export const refunded: SagaEvent = { kind: "payment_refunded", amount: 1_490n };
export const released: SagaEvent = { kind: "stock_released" };
export const cancel: SagaEvent = { kind: "cancel_requested" };

export const allEvents: readonly SagaEvent[] = [
  reserved,
  short,
  authorized,
  declined,
  abandoned,
  tokenReturned,
  absent,
  captured,
  lapsed,
  captureRefused,
  committed,
  holdLapsed,
  cleared,
  voided,
  wasCaptured,
  refunded,
  released,
  cancel,
];

/** What a command leads to when all is well. */
export const success: Readonly<Record<Step, SagaEvent>> = {
  reserve_stock: reserved,
  authorize_payment: authorized,
  settle_payment: authorized,
  capture_payment: captured,
  commit_stock: committed,
  reserve_again: reserved,
  clear_cart: cleared,
  void_payment: voided,
  refund_payment: refunded,
  release_stock: released,
  done: cleared,
};

/** The move, which must be legal. */
export function move(saga: Saga, event: SagaEvent): Transition {
  const moved = transition(saga, event);
  if (!moved.ok) throw new Error(`${saga.state}/${saga.step} refuses ${event.kind}`);
  return moved.value;
}
