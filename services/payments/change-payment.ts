import { createHash } from "node:crypto";
import { systemClock } from "#mesh/clock.ts";
import { meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import { isUniqueViolation, principalOf, type Transaction, type TransactionOptions } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { checkProvider, type Deps, fail } from "./deps.ts";
import type { OperationKind, Plan } from "./domain.ts";
import * as operationStore from "./operation-store.ts";
import { finish, type Performed } from "./operations.ts";
import * as store from "./store.ts";

/** The prefix of an operation's id, and so of its idempotency key. */
const OPERATION_PREFIX: Readonly<Record<OperationKind, string>> = {
  AUTHORIZE: "aut",
  CAPTURE: "cap",
  VOID: "voi",
  REFUND: "rfd",
  LATE_VOID: "lvo",
  LATE_REFUND: "lrf",
};

/** Longer than a call waits for the payment gateway, so that the settler leaves what is merely under way alone. */
const SETTLE_AFTER_MS = 15_000;

/** A new operation, pending, for which the payment gateway is about to be asked. */
export function newOperation(
  { clock, newId }: Pick<Deps, "clock" | "newId">,
  given: Pick<operationStore.OperationRow, "paymentId" | "kind" | "requestSha256" | "amount" | "note">,
): operationStore.OperationRow {
  const now = clock.now();
  return {
    ...given,
    id: newId(OPERATION_PREFIX[given.kind]),
    state: "PENDING",
    failureCode: undefined,
    providerReference: undefined,
    attempts: 0,
    keyNumber: 1,
    askedTime: now,
    createTime: now,
    updateTime: now,
  };
}

/** What is noted beside an operation that is made now. */
export function noting(
  operation: operationStore.OperationRow,
  key: operationStore.OperationKey,
): operationStore.Noting {
  return { key, nextTryTime: new Date(operation.createTime.getTime() + SETTLE_AFTER_MS) };
}

/** How often a change waits for another operation of the same payment to end before it gives up. */
const MAX_WAITS = 3;

export interface Change {
  readonly kind: Exclude<OperationKind, "AUTHORIZE">;
  readonly paymentId: string;
  readonly note: string;
  readonly plan: (payment: store.PaymentRow) => Plan;
}

/** Captures, voids or refunds for a call. */
export function changePayment(
  deps: Deps,
  request: { readonly requestId: string },
  call: Call,
  change: Change,
): Promise<Performed> {
  const key = { principal: principalOf(call), kind: change.kind, requestId: request.requestId };
  const requestSha256 = sha256(call.method.encodeRequest(request));
  return carryOut(deps, { change, key, requestSha256 }, () => {
    call.signal.throwIfAborted();
    return timeLimit(call);
  });
}

/**
 * Carries a change out: notes what will be asked, asks the payment gateway, and notes the answer. Operations of one
 * payment take turns: one that finds another under way first has that one's outcome settled. `limits` gives each
 * transaction its limits, or throws when there is no point in it any more.
 */
export async function carryOut(
  deps: Deps,
  beginning: Beginning,
  limits: () => TransactionOptions = () => ({}),
): Promise<Performed> {
  const attempt = async (): Promise<Begun> => deps.db.transaction((tx) => begin(deps, tx, beginning), limits());
  for (let waits = 0; ; waits += 1) {
    // The id may have just been used for another payment; to look again then tells.
    const begun = await attempt().catch((error: unknown) => {
      if (!isUniqueViolation(error, "operations_once")) throw error;
      return attempt();
    });
    if (begun.kind === "begun") return succeeded(await finish(deps, begun), beginning.change);
    if (waits === MAX_WAITS) throw fail("OUTCOME_UNKNOWN", "Other changes of this payment are under way; ask again.");
    await finish(deps, begun);
  }
}

/** A transaction for a call ends with the call. */
export function timeLimit(call: Call): TransactionOptions {
  return { statementTimeoutMs: call.deadline - systemClock.now().getTime() };
}

/** The digest of a request, by which a repetition is told from another request with the same id. */
export function sha256(request: Uint8Array): Buffer {
  return createHash("sha256").update(request).digest();
}

/** The operation of an earlier copy of this very request; throws REQUEST_ID_REUSED when it is of another request. */
export async function earlierCopy(
  tx: Transaction,
  key: operationStore.OperationKey,
  requestSha256: Buffer,
): Promise<operationStore.OperationRow | undefined> {
  const operation = await operationStore.findOperation(tx, key);
  if (operation === undefined || operation.requestSha256.equals(requestSha256)) return operation;
  throw meshFailure("REQUEST_ID_REUSED", "This request_id came before with another request; nothing was done.", {
    metadata: { request_id: key.requestId },
  });
}

type Begun = { readonly kind: "begun" | "busy" } & Performed;

export interface Beginning {
  readonly change: Change;
  readonly key: operationStore.OperationKey;
  readonly requestSha256: Buffer;
}

async function begin(deps: Deps, tx: Transaction, { change, key, requestSha256 }: Beginning): Promise<Begun> {
  const payment = await store.lockPayment(tx, change.paymentId);
  if (payment === undefined) throw fail("PAYMENT_NOT_FOUND", "There is no such payment.");
  const earlier = await earlierCopy(tx, key, requestSha256);
  if (earlier !== undefined && earlier.state !== "FAILED") return { kind: "begun", operation: earlier, payment };
  if (payment.pendingOperationId !== undefined) {
    const operation = await operationStore.getOperation(tx, payment.pendingOperationId);
    if (operation === undefined) throw new Error(`operation ${payment.pendingOperationId} is gone`);
    return { kind: "busy", operation, payment };
  }
  const plan = change.plan(payment);
  if (plan.kind !== "ask" && plan.kind !== "unchanged") throw planFailure(plan);
  if (plan.kind === "ask") checkProvider(deps, payment);
  const operation = newOperation(deps, {
    paymentId: payment.id,
    kind: change.kind,
    requestSha256,
    amount: plan.kind === "ask" ? plan.minorUnits : payment.amount,
    note: change.note,
  });
  // What is as wished already is noted as done, so that its id, too, is known for good.
  const noted: operationStore.OperationRow =
    plan.kind === "ask" ? operation : { ...operation, state: "DONE", askedTime: undefined };
  if (earlier !== undefined) return { kind: "begun", operation: await reopen(tx, earlier, noted), payment };
  await operationStore.insertOperation(tx, noted, noting(noted, key));
  return { kind: "begun", operation: noted, payment };
}

/**
 * What the payment gateway refused, it did not do, and what stood in its way may be gone: who asks again is heard anew,
 * under a key of which the gateway knows nothing yet.
 */
async function reopen(
  tx: Transaction,
  refused: operationStore.OperationRow,
  { state, createTime: now }: operationStore.OperationRow,
): Promise<operationStore.OperationRow> {
  if (state === "FAILED") throw new TypeError("an operation is not opened to fail");
  const nextTryTime = new Date(now.getTime() + SETTLE_AFTER_MS);
  const opened = await operationStore.reopenOperation(tx, refused, { state, now, nextTryTime });
  if (opened === undefined) throw new Error(`operation ${refused.id} changed without its payment's lock`);
  return opened;
}

/** What was done, or is as wished whoever did it. */
function succeeded({ operation, payment }: Performed, { plan }: Change): Performed {
  if (operation.state === "DONE" || plan(payment).kind === "unchanged") return { operation, payment };
  throw fail("STATE_CONFLICT", `The payment gateway refused: ${operation.failureCode}.`, { state: payment.state });
}

function planFailure(plan: Exclude<Plan, { kind: "ask" | "unchanged" }>): RpcError {
  switch (plan.kind) {
    case "state_conflict":
      return fail("STATE_CONFLICT", `The payment is ${plan.state}.`, { state: plan.state });
    case "amount_too_large":
      return fail("AMOUNT_TOO_LARGE", `At most ${plan.limit} minor units are left.`, {
        limit_minor_units: String(plan.limit),
      });
    case "currency_mismatch":
      return currencyMismatch(plan.expected);
  }
}

/** The error of an amount in another currency than `expected`. */
export function currencyMismatch(expected: string): RpcError {
  return fail("CURRENCY_MISMATCH", `The amount must be in ${expected}.`, { currency_code: expected });
}
