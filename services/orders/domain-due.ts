import { type Due, MAX_DUE, MAX_GIVEN_BACK, type Move, type Saga, type SagaEvent, type Step } from "./domain-saga.ts";

/** What can still be promised to the buyer, in minor units: what was paid, and neither given back nor promised. */
export function refundable({ total, refunded, promised }: Saga): bigint {
  return total - refunded - promised;
}

/**
 * Whether one more return or refund may be promised. One that is promised is counted as announced, and then as due, or as
 * withdrawn.
 */
export function mayPromiseMore({
  announced,
  withdrawn,
  dues,
}: Pick<Saga, "announced" | "withdrawn" | "dues">): boolean {
  return announced + withdrawn + dues < MAX_GIVEN_BACK;
}

/** What is promised for returns that were announced and are not here, in minor units. */
function promisedForAnnounced({ due, promised }: Saga): bigint {
  return due.reduce((left, entry) => left - entry.amount, promised);
}

/** Whether an order can be undone as a whole: no goods came or will come back, and no money was or will be given back. */
function isUntouched({ dues, announced }: Saga): boolean {
  return dues === 0 && announced === 0;
}

/** What a paid order does next: its shipment, what is due first, then the cart, then nothing. */
export function nextPaidStep(saga: Pick<Saga, "due" | "cartCleared" | "delivers" | "shipmentId">): Step {
  const { due, cartCleared, delivers, shipmentId } = saga;
  const [first] = due;
  if (delivers && shipmentId === undefined) return "create_shipment";
  if (first === undefined) return cartCleared ? "done" : "clear_cart";
  return first.lines.length > 0 ? "restock" : "refund_payment";
}

/** What people ask of a paid order, in whichever step it is. What is under way there goes on. */
export function onPaidRequest(saga: Saga, event: SagaEvent): Move {
  switch (event.kind) {
    case "cancel_requested":
      if (saga.state !== "PAID" || !isUntouched(saga)) return undefined;
      return { state: "CANCELLING", step: firstUndone(saga), note: "cancellation asked for" };
    case "return_announced": {
      if (event.amount < 0n || event.amount > refundable(saga) || !mayPromiseMore(saga)) return undefined;
      const promised = saga.promised + event.amount;
      return { announced: saga.announced + 1, promised, note: "return announced" };
    }
    case "return_withdrawn": {
      const { amount } = event;
      if (saga.announced === 0 || amount < 0n || amount > promisedForAnnounced(saga)) return undefined;
      const [announced, withdrawn] = [saga.announced - 1, saga.withdrawn + 1];
      return { announced, withdrawn, promised: saga.promised - amount, note: "return withdrawn" };
    }
    case "return_received": {
      const { returnId, lines, amount } = event;
      if (saga.announced === 0 || lines.length === 0) return undefined;
      if (amount < 0n || amount > promisedForAnnounced(saga)) return undefined;
      const moved = enqueue(saga, { returnId, lines, amount });
      return moved && { ...moved, announced: saga.announced - 1, note: "goods came back" };
    }
    case "refund_requested": {
      const { amount } = event;
      if (amount <= 0n || amount > refundable(saga) || !mayPromiseMore(saga)) return undefined;
      const moved = enqueue(saga, { returnId: undefined, lines: [], amount });
      return moved && { ...moved, promised: saga.promised + amount, note: "refund promised" };
    }
    default:
      return undefined;
  }
}

/** What is undone first of a paid order: its shipment, of which it must be known whether there is one. */
function firstUndone({ step, shipmentId }: Saga): Step {
  if (step === "create_shipment") return step;
  return shipmentId === undefined ? "refund_payment" : "cancel_shipment";
}

/** Behind all that is due already; work on the first goes on. Undefined when there is no room. */
function enqueue(saga: Saga, entry: Omit<Due, "seq">): Pick<Saga, "dues" | "due" | "step"> | undefined {
  if (saga.due.length >= MAX_DUE) return undefined;
  const dues = saga.dues + 1;
  const due = [...saga.due, { ...entry, seq: dues }];
  const step = saga.due.length > 0 ? saga.step : nextPaidStep({ ...saga, due });
  return { dues, due, step };
}

/** The goods that came back are in stock. */
export function onDueRestocked(saga: Saga): Move {
  const [first, ...due] = saga.due;
  if (first === undefined) return undefined;
  if (first.amount > 0n) return { step: "refund_payment", note: "returned goods in stock" };
  return { due, step: nextPaidStep({ ...saga, due }), note: "returned goods in stock" };
}

/** The money of the first is given back. */
export function onDueRefunded(saga: Saga, amount: bigint): Move {
  const [first, ...due] = saga.due;
  if (first === undefined || first.amount !== amount) return undefined;
  return {
    due,
    step: nextPaidStep({ ...saga, due }),
    refunded: saga.refunded + amount,
    promised: saga.promised - amount,
    note: first.returnId === undefined ? "money given back" : "return refunded",
    errands: [{ kind: "mail_refund", subject: `refund:${first.seq}`, amount }],
  };
}
