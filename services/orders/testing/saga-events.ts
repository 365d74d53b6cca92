import { type Transition, transition } from "../domain.ts";
import { newSaga, type Saga, type SagaEvent, type Step } from "../domain-saga.ts";

/** A saga at its start, over 14.90, of an order that shipping does not bring. */
export const initialSaga: Saga = newSaga({ total: 1_490n, delivers: false });
/** The same of one that it does. */
export const deliveredSaga: Saga = newSaga({ total: 1_490n, delivers: true });

export const reserved: SagaEvent = { kind: "stock_reserved", reservationId: "res_1" };
export const short: SagaEvent = { kind: "stock_short", available: { "SKU-1": "2" } };
export const authorized: SagaEvent = { kind: "payment_authorized", paymentId: "pay_1" };
export const declined: SagaEvent = { kind: "payment_declined", declineCode: "card_declined" };
export const abandoned: SagaEvent = { kind: "authorization_abandoned" };
export const tokenReturned: SagaEvent = { kind: "token_returned" };
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
export const postponed: SagaEvent = { kind: "cart_postponed" };
export const wasCommitted: SagaEvent = { kind: "stock_was_committed" };
export const restocked: SagaEvent = { kind: "stock_restocked" };
export const booked: SagaEvent = { kind: "shipment_booked", shipmentId: "shp_1" };
export const notBooked: SagaEvent = { kind: "shipment_refused" };
export const calledOff: SagaEvent = { kind: "shipment_cancelled" };
export const wasLoaded: SagaEvent = { kind: "shipment_was_loaded" };
export const left: SagaEvent = { kind: "goods_left", shipmentId: "shp_1" };
export const arrived: SagaEvent = { kind: "goods_arrived" };
export const undeliverable: SagaEvent = { kind: "goods_undeliverable" };
export const cancel: SagaEvent = { kind: "cancel_requested" };

/** A return of goods for 10.00, announced and here; and its refund. */
export const announced: SagaEvent = { kind: "return_announced", amount: 1_000n };
/** It will not come. */
export const withdrawn: SagaEvent = { kind: "return_withdrawn", amount: 1_000n };
export const received: SagaEvent = {
  kind: "return_received",
  returnId: "ret_1",
  lines: [{ sku: "SKU-1", quantity: 1n }],
  amount: 1_000n,
};
export const returnRefunded: SagaEvent = { kind: "payment_refunded", amount: 1_000n };
/** Money alone, and its refund. */
export const refundAsked: SagaEvent = { kind: "refund_requested", amount: 490n };
export const moneyRefunded: SagaEvent = { kind: "payment_refunded", amount: 490n };

export const allEvents: readonly SagaEvent[] = [
  reserved,
  short,
  authorized,
  declined,
  abandoned,
  tokenReturned,
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
  postponed,
  wasCommitted,
  restocked,
  booked,
  notBooked,
  calledOff,
  wasLoaded,
  left,
  arrived,
  undeliverable,
  cancel,
  announced,
  withdrawn,
  received,
  returnRefunded,
  refundAsked,
  moneyRefunded,
];

/** What the command leads to when all is well. */
export function success({ step, due: [first], total }: Saga): SagaEvent {
  return step === "refund_payment" ? { kind: "payment_refunded", amount: first?.amount ?? total } : successes[step];
}

const successes: Readonly<Record<Exclude<Step, "refund_payment">, SagaEvent>> = {
  reserve_stock: reserved,
  authorize_payment: authorized,
  settle_payment: authorized,
  capture_payment: captured,
  commit_stock: committed,
  reserve_again: reserved,
  clear_cart: cleared,
  void_payment: voided,
  release_stock: released,
  restock: restocked,
  create_shipment: booked,
  cancel_shipment: calledOff,
  done: cleared,
};

/** The move, which must be legal. */
export function move(saga: Saga, event: SagaEvent): Transition {
  const moved = transition(saga, event);
  if (!moved.ok) throw new Error(`${saga.state}/${saga.step} refuses ${event.kind}`);
  return moved.value;
}

/** To the cleared cart. */
export const confirmed = [reserved, authorized, cleared];
/** To the sale. */
export const paid = [...confirmed, captured, committed];

/** Where these lead from the start. */
export const after = (...events: readonly SagaEvent[]): Saga =>
  events.reduce((saga, event) => move(saga, event).saga, initialSaga);

/** Every state and step that these lead through. */
export function follow(from: Saga, ...events: readonly SagaEvent[]): readonly string[] {
  let saga = from;
  return events.map((event) => {
    saga = move(saga, event).saga;
    return `${saga.state}/${saga.step}`;
  });
}
