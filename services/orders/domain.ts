import { moveFor } from "./domain-moves.ts";
import { fail, ok, type Result } from "./domain-result.ts";
import {
  type Command,
  type Errand,
  type OrderState,
  type Saga,
  type SagaEvent,
  type Step,
  stepsOf,
} from "./domain-saga.ts";

/** One move of the saga. */
export interface Transition {
  readonly saga: Saga;
  readonly commands: readonly Command[];
  /** For the history, in a few words. */
  readonly note: string;
  /** Whether the buyer has some time to bring the payment token again before the commands are given. */
  readonly awaitsToken: boolean;
  /** What is done besides, written down with the move. */
  readonly errands: readonly Errand[];
}

/** An event that cannot happen where the saga stands. Nothing may be made of it. */
export interface IllegalEvent {
  readonly kind: "illegal_event";
  readonly state: OrderState;
  readonly step: Step;
  readonly event: SagaEvent["kind"];
}

/** The saga: where an order goes from here when this happens. */
export function transition(saga: Saga, event: SagaEvent): Result<Transition, IllegalEvent> {
  const move = stepsOf[saga.state].includes(saga.step) ? moveFor(saga, event) : undefined;
  if (move === undefined) {
    return fail({ kind: "illegal_event", state: saga.state, step: saga.step, event: event.kind });
  }
  const { note, awaitsToken = false, errands = [], ...changes } = move;
  const next: Saga = { ...saga, ...changes };
  return ok({ saga: next, commands: commandsOf(next), note, awaitsToken, errands });
}

/** What is to be done where the saga stands: after a transition, or when an order is taken up again. */
export function commandsOf(saga: Saga): readonly Command[] {
  return saga.step === "done" ? [] : [{ kind: saga.step, key: keys[saga.step](saga) }];
}

const keys: Readonly<Record<Command["kind"], (saga: Saga) => string>> = {
  reserve_stock: () => "reserve",
  reserve_again: ({ holds }) => `reserve:${holds}`,
  authorize_payment: () => "authorize",
  // It is about the authorization of this key.
  settle_payment: () => "authorize",
  void_payment: () => "void",
  capture_payment: () => "capture",
  // Everything of a cancelled order, or what is due first.
  refund_payment: ({ due: [first] }) => (first === undefined ? "refund" : `refund:${first.seq}`),
  // Which hold is committed or released belongs to the effect: a second one is another effect.
  commit_stock: ({ holds }) => `commit:${holds}`,
  release_stock: ({ holds }) => `release:${holds}`,
  restock: ({ due: [first] }) => (first === undefined ? "restock" : `restock:${first.seq}`),
  create_shipment: () => "ship",
  cancel_shipment: () => "call-off",
  clear_cart: () => "clear",
};
