import type { RpcError } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import { checkProvider, type Deps, fail } from "./deps.ts";
import { applyOutcome, ledgerLines, type Outcome } from "./domain.ts";
import * as operationStore from "./operation-store.ts";
import {
  type Answer,
  type Authorization,
  type Effect,
  isOpen,
  type Open,
  type PaymentGateway,
} from "./payment-gateway.ts";
import * as store from "./store.ts";

/** An operation with the payment that it is for, as they were read together. */
export interface Performed {
  readonly operation: operationStore.OperationRow;
  readonly payment: store.PaymentRow;
}

/** How long after it was noted an authorization may still be sent; past it, it is noted anew first. */
const SEND_WITHIN_MS = 5_000;
/** The decline code of an authorization that was given up. */
export const ABANDONED = "abandoned";

/**
 * How long after an authorization was last about to be asked for it can still come about. What the payment gateway has
 * not heard of by then never reaches it, unless a process of ours stood still just before it sent, or clocks differ by
 * more than the gateway's share of this: then it turns up after it was given up, and is voided.
 */
export function abandonAfterMs({ settledAfterMs }: PaymentGateway): number {
  return SEND_WITHIN_MS + settledAfterMs;
}

type GatewayAnswer = Answer<Effect & Partial<Authorization>>;

/**
 * Has an operation that is noted as pending done, and notes what came of it. What is done already is answered as it is.
 * Throws OUTCOME_UNKNOWN when the payment gateway does not say; then nothing changes, and it can be called again. Throws
 * PROVIDER_UNKNOWN when another payment gateway was to do it.
 */
export async function finish(
  deps: Deps,
  { operation, payment }: Performed,
  ask: () => Promise<GatewayAnswer> = () => askAgain(deps, operation, payment),
): Promise<Performed> {
  if (operation.state !== "PENDING") return { operation, payment };
  checkProvider(deps, payment);
  const answer = await ask();
  if (isOpen(answer)) throw outcomeUnknown(deps, operation, answer.because);
  return deps.db.transaction((tx) => complete(deps, tx, operation, answer));
}

function outcomeUnknown({ log }: Deps, { id }: operationStore.OperationRow, because: string): RpcError {
  log.warn({ operation: id, because }, "the payment gateway did not say what happened");
  return fail("OUTCOME_UNKNOWN", "The payment gateway did not say what happened; ask again with the same request_id.");
}

/** Whether an authorization that was noted just now may be sent: later, somebody may take it for one that never came. */
export function mayStillSend({ clock }: Deps, { askedTime }: operationStore.OperationRow): boolean {
  return askedTime !== undefined && clock.now().getTime() - askedTime.getTime() < SEND_WITHIN_MS;
}

/** The idempotency key under which the payment gateway is asked now. */
function gatewayKey({ id, keyNumber }: operationStore.OperationRow): string {
  return keyNumber === 1 ? id : `${id}:${keyNumber}`;
}

/**
 * Asks the payment gateway what an operation came to, under the operation's own key, so that nothing is done twice. An
 * authorization cannot be asked for again, as its payment token was not kept: what its key did is looked up.
 */
async function askAgain(
  { gateway, clock }: Deps,
  operation: operationStore.OperationRow,
  payment: store.PaymentRow,
): Promise<GatewayAnswer> {
  const { amount, createTime, askedTime = createTime } = operation;
  const { currencyCode, authorizationReference = "", captureReference = "" } = payment;
  const key = gatewayKey(operation);
  // What is no authorization is noted once for each key.
  const firstAskedTime = operation.keyNumber === 1 ? createTime : askedTime;
  switch (operation.kind) {
    case "CAPTURE":
      return gateway.capture({ key, firstAskedTime, authorizationReference, amount, currencyCode });
    case "VOID":
    case "LATE_VOID":
      return gateway.void({ key, firstAskedTime, authorizationReference });
    case "REFUND":
    case "LATE_REFUND":
      return gateway.refund({ key, firstAskedTime, captureReference, amount, currencyCode });
    case "AUTHORIZE": {
      const found = await gateway.lookUp({ kind: "AUTHORIZE", key, firstAskedTime, lastAskedTime: askedTime });
      if (found.kind !== "absent") return found;
      const sinceMs = clock.now().getTime() - askedTime.getTime();
      if (sinceMs < abandonAfterMs(gateway)) return { kind: "unknown", because: "the request may still be on its way" };
      return { kind: "declined", code: ABANDONED };
    }
  }
}

/** Writes an outcome, unless somebody else has. The payment's lock makes it once. */
async function complete(
  deps: Deps,
  tx: Transaction,
  asked: operationStore.OperationRow,
  answer: Exclude<GatewayAnswer, Open>,
): Promise<Performed> {
  const { clock, log } = deps;
  const { id, paymentId } = asked;
  const payment = await store.lockPayment(tx, paymentId);
  if (payment?.pendingOperationId === id) {
    const done = answer.kind === "ok";
    const operation: operationStore.OperationRow = {
      ...asked,
      state: done ? "DONE" : "FAILED",
      failureCode: done ? undefined : answer.code,
      providerReference: done ? answer.value.reference : undefined,
    };
    const now = clock.now();
    const changed = { ...changedPayment(payment, operation, answer), updateTime: now };
    const lines = done ? ledgerLines(operation.kind, operation.amount) : [];
    const askedBefore = operation.failureCode === ABANDONED ? justAfter(asked.askedTime) : undefined;
    if (await operationStore.completeOperation(tx, operation, changed, { lines, now, askedBefore })) {
      if (answer.kind === "refused") log.error({ operation: id, code: answer.code }, "an operation was refused");
      return { operation, payment: { ...changed, pendingOperationId: undefined } };
    }
  }
  const operation = await operationStore.getOperation(tx, id);
  if (payment === undefined || operation === undefined)
    throw new Error(`operation ${id} is gone, and none is ever deleted`);
  if (operation.state === "PENDING") throw outcomeUnknown(deps, operation, "it is asked for again");
  return { operation, payment };
}

/** The first moment that is later: PostgreSQL's times are finer than ours. */
function justAfter(time: Date | undefined): Date | undefined {
  return time && new Date(time.getTime() + 1);
}

function changedPayment(
  payment: store.PaymentRow,
  operation: operationStore.OperationRow,
  answer: Exclude<GatewayAnswer, Open>,
): store.PaymentRow {
  const after = { ...payment, ...applyOutcome(payment, outcomeOf(operation, answer)) };
  switch (answer.kind) {
    case "declined":
      return operation.kind === "AUTHORIZE" ? { ...after, declineCode: answer.code } : after;
    case "refused":
      return after;
    case "ok":
      if (operation.kind === "AUTHORIZE") {
        const { reference, expireTime } = answer.value;
        return { ...after, authorizationReference: reference, expireTime };
      }
      return operation.kind === "CAPTURE" ? { ...after, captureReference: answer.value.reference } : after;
  }
}

function outcomeOf(operation: operationStore.OperationRow, answer: Exclude<GatewayAnswer, Open>): Outcome {
  switch (answer.kind) {
    case "ok":
      return { kind: "done", operation: operation.kind, minorUnits: operation.amount };
    case "declined":
      // A bank may also decline what follows an authorization; then the payment stays as it is.
      return operation.kind === "AUTHORIZE" ? { kind: "declined" } : { kind: "refused", gatewayState: undefined };
    case "refused":
      return { kind: "refused", gatewayState: answer.status };
  }
}
