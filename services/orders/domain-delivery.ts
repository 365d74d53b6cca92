import { nextPaidStep } from "./domain-due.ts";
import type { Errand, Move, Saga, SagaEvent } from "./domain-saga.ts";

/** An order is confirmed by mail when its goods are booked; written down wherever that is known, and once in all. */
const confirmation: Errand = { kind: "mail_confirmation", subject: "", amount: 0n };

/** Shipping was asked to bring the goods. Who cancels meanwhile waits for the answer, so that no shipment is left over. */
export function onCreateShipment(saga: Saga, event: SagaEvent): Move {
  const cancelling = saga.state === "CANCELLING";
  switch (event.kind) {
    case "shipment_booked": {
      const { shipmentId } = event;
      if (cancelling) return { step: "cancel_shipment", shipmentId, note: "shipment booked" };
      const step = nextPaidStep({ ...saga, shipmentId });
      return { step, shipmentId, note: "shipment booked", errands: [confirmation] };
    }
    case "shipment_refused":
      return cancelling ? { step: "refund_payment", note: "nothing was booked" } : undefined;
    default:
      return undefined;
  }
}

/** Shipping was asked to keep the goods: either they stay, or they are on their way and the order goes on. */
export function onCancelShipment(saga: Saga, { kind }: SagaEvent): Move {
  switch (kind) {
    case "shipment_cancelled":
      return { step: "refund_payment", shipmentId: undefined, note: "shipment called off" };
    case "shipment_was_loaded": {
      const note = "too late to cancel: the goods are loaded";
      return { state: "PAID", step: nextPaidStep(saga), note, errands: [confirmation] };
    }
    default:
      return undefined;
  }
}

/** Where the goods are, which shipping tells at any time, even before its answer to the booking is here. */
export function onGoodsMoved(saga: Saga, event: SagaEvent): Move {
  switch (event.kind) {
    case "goods_left":
      return onGoodsLeft(saga, event.shipmentId);
    case "goods_arrived":
      return onGoodsEnded(saga, "goods arrived", true);
    case "goods_undeliverable":
      return onGoodsEnded(saga, "goods could not be delivered", false);
    default:
      return undefined;
  }
}

function onGoodsLeft(saga: Saga, shipmentId: string): Move {
  const { state, step } = saga;
  if (!saga.delivers || (saga.shipmentId ?? shipmentId) !== shipmentId) return undefined;
  const errands: readonly Errand[] = [confirmation, { kind: "mail_shipped", subject: shipmentId, amount: 0n }];
  const next = nextPaidStep({ ...saga, shipmentId });
  if (state === "PAID") {
    // What is under way goes on; a booking is known now.
    const at = step === "create_shipment" ? next : step;
    return { state: "SHIPPED", step: at, shipmentId, note: "goods are on their way", errands };
  }
  const undoing = state === "CANCELLING" && (step === "create_shipment" || step === "cancel_shipment");
  if (!undoing) return undefined;
  return { state: "SHIPPED", step: next, shipmentId, note: "too late to cancel: goods are on their way", errands };
}

function onGoodsEnded({ state, shipmentId }: Saga, note: string, told: boolean): Move {
  if (state !== "SHIPPED" || shipmentId === undefined) return undefined;
  const errands: readonly Errand[] = told ? [{ kind: "mail_delivered", subject: shipmentId, amount: 0n }] : [];
  return { state: "COMPLETED", note, errands };
}
