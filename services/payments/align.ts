import { isReason, type RpcError } from "#mesh/contract/errors.ts";
import { carryOut, sha256 } from "./change-payment.ts";
import { checkProvider, type Deps, fail } from "./deps.ts";
import * as discrepancyStore from "./discrepancy-store.ts";
import { type Alignment, type DifferenceKind, type GatewayStanding, planAlignment } from "./domain-alignment.ts";
import * as operationStore from "./operation-store.ts";
import { finish } from "./operations.ts";
import { isOpen } from "./payment-gateway.ts";
import * as store from "./store.ts";

/** How often a payment that changes while it is looked at is looked at again. */
const MAX_LOOKS = 5;

/** How a payment and the payment gateway's record of it stand to each other now. */
export interface Aligned {
  readonly payment: store.PaymentRow;
  /** Undefined where no authorization was ever heard of. */
  readonly theirs: GatewayStanding | undefined;
  readonly end: "agree" | "repaired" | "differ";
}

/**
 * Brings a payment and the payment gateway's own record of it together: what is open is settled first, what came too late
 * is undone there, what ended there is noted here, and what no rule decides is written down as a discrepancy. It may run
 * twice, at once, and be cut off anywhere. Throws OUTCOME_UNKNOWN when the payment gateway does not say.
 */
export async function align(deps: Deps, found: store.PaymentRow): Promise<Aligned> {
  checkProvider(deps, found);
  let payment = await settled(deps, found);
  const reference = payment.authorizationReference ?? (await lookUpAbandoned(deps, payment));
  if (reference === undefined) return { payment, theirs: undefined, end: "agree" };
  let [isRepaired, isUndone] = [false, false];
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    const record = await readRecord(deps, payment, reference);
    const plan = planAlignment(payment, record);
    if (plan.kind === "agree") return { payment, theirs: record, end: isRepaired ? "repaired" : "agree" };
    // What was read at two moments may differ for that alone: it counts when the payment stood still in between.
    const now = await settled(deps, await store.loadPayment(deps.db, payment.id));
    const stoodStill = isSameStanding(payment, now);
    payment = now;
    if (!stoodStill || plan.kind === "wait") continue;
    const isUndoing = plan.kind === "let_go" || plan.kind === "give_back";
    if (plan.kind === "report" || (isUndoing && isUndone)) {
      const difference = plan.kind === "report" ? plan.difference : "STATE_DIFFERS";
      await noteDiscrepancy(deps, payment, { difference, record, reference, state: "OPEN" });
      return { payment, theirs: record, end: "differ" };
    }
    await repair(deps, payment, { plan, record, reference });
    [isRepaired, isUndone] = [true, isUndoing];
    payment = await store.loadPayment(deps.db, payment.id);
  }
  throw changesTooFast();
}

/** A gateway's record, and what a refund of it would be about. */
interface GatewayRecord extends GatewayStanding {
  readonly captureReference: string | undefined;
}

async function readRecord({ gateway }: Deps, payment: store.PaymentRow, reference: string): Promise<GatewayRecord> {
  const found = await gateway.find(reference);
  if (isOpen(found)) throw fail("OUTCOME_UNKNOWN", "The payment gateway could not be asked; ask again.");
  if (found.kind === "ok") return found.value;
  if (found.kind !== "absent") throw new Error(`the payment gateway does not show ${reference}: ${found.code}`);
  const nothing = { amount: 0n, captured: 0n, refunded: 0n, captureReference: undefined };
  return { status: "ABSENT", currencyCode: payment.currencyCode, ...nothing };
}

/** The payment once nothing of it is under way. */
async function settled(deps: Deps, found: store.PaymentRow): Promise<store.PaymentRow> {
  let payment = found;
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    if (payment.pendingOperationId === undefined) return payment;
    const operation = await operationStore.getOperation(deps.db, payment.pendingOperationId);
    if (operation === undefined) throw new Error(`operation ${payment.pendingOperationId} is gone`);
    // One that ended since the payment was read has changed it.
    payment =
      operation.state === "PENDING"
        ? (await finish(deps, { operation, payment })).payment
        : await store.loadPayment(deps.db, payment.id);
  }
  throw changesTooFast();
}

function changesTooFast(): RpcError {
  return fail("OUTCOME_UNKNOWN", "The payment changes faster than it can be compared; ask again.");
}

/** What the payment gateway calls an authorization that had been given up and came about after all. */
async function lookUpAbandoned({ db, gateway }: Deps, { id }: store.PaymentRow): Promise<string | undefined> {
  const operation = await operationStore.findAbandoned(db, id);
  if (operation === undefined) return undefined;
  const { id: key, createTime, askedTime = createTime } = operation;
  const found = await gateway.lookUp({ kind: "AUTHORIZE", key, firstAskedTime: createTime, lastAskedTime: askedTime });
  if (isOpen(found)) throw fail("OUTCOME_UNKNOWN", "The payment gateway could not be asked; ask again.");
  return found.kind === "ok" ? found.value.reference : undefined;
}

function isSameStanding(one: store.PaymentRow, other: store.PaymentRow): boolean {
  return one.state === other.state && one.captured === other.captured && one.refunded === other.refunded;
}

type Repair = Extract<Alignment, { kind: "lapse" | "let_go" | "give_back" }>;

interface Found<Plan> {
  readonly plan: Plan;
  readonly record: GatewayRecord;
  readonly reference: string;
}

async function repair(deps: Deps, payment: store.PaymentRow, found: Found<Repair>): Promise<void> {
  const { plan, record, reference } = found;
  const { db, clock, log } = deps;
  if (plan.kind === "lapse") {
    await store.lapsePayment(db, { id: payment.id, state: plan.state, now: clock.now() });
    // That time runs out is the way of the world.
    if (plan.state === "EXPIRED") return;
  } else {
    await store.noteReferences(db, { id: payment.id, authorization: reference, capture: record.captureReference });
    await undo(deps, payment, { ...found, plan });
  }
  log.warn({ payment: payment.id, ours: payment.state, theirs: record.status, repair: plan.kind }, "payment repaired");
  await noteDiscrepancy(deps, payment, { difference: "STATE_DIFFERS", record, reference, state: "REPAIRED" });
}

/** Undoes at the payment gateway what came too late: an operation like any other, once for what it is about. */
async function undo(
  deps: Deps,
  payment: store.PaymentRow,
  { plan, record, reference }: Found<Extract<Repair, { kind: "let_go" | "give_back" }>>,
): Promise<void> {
  const [kind, minorUnits, requestId] =
    plan.kind === "let_go"
      ? (["LATE_VOID", record.amount, reference] as const)
      : (["LATE_REFUND", plan.minorUnits, `${record.captureReference}:${plan.minorUnits}`] as const);
  const isFinal = ({ state }: store.PaymentRow) => state === "DECLINED" || state === "VOIDED" || state === "EXPIRED";
  try {
    await carryOut(deps, {
      change: {
        kind,
        paymentId: payment.id,
        note: "came too late",
        plan: (now) => (isFinal(now) ? { kind: "ask", minorUnits } : { kind: "state_conflict", state: now.state }),
      },
      key: { principal: "service:payments", kind, requestId },
      requestSha256: sha256(Buffer.from(requestId)),
    });
  } catch (error) {
    // The payment gateway refused: somebody else has undone it, or it lapsed. To look again tells.
    if (!isReason(error, "STATE_CONFLICT")) throw error;
  }
}

async function noteDiscrepancy(
  { db, clock, newId, gateway }: Deps,
  payment: store.PaymentRow,
  found: {
    readonly difference: DifferenceKind;
    readonly record: GatewayRecord;
    readonly reference: string;
    readonly state: "OPEN" | "REPAIRED";
  },
): Promise<void> {
  const { difference, record, reference, state } = found;
  const [now, provider] = [clock.now(), gateway.name];
  if (
    state === "REPAIRED" &&
    (await discrepancyStore.endDiscrepancy(db, { provider, subject: payment.id, state, now }))
  )
    return;
  await discrepancyStore.noteDiscrepancy(db, {
    ...{ id: newId("dis"), provider, kind: difference, state, paymentId: payment.id },
    ...{ authorizationReference: reference, currencyCode: payment.currencyCode },
    ...{ ourState: payment.state, ourKept: payment.captured - payment.refunded },
    gatewayState: record.status === "ABSENT" ? undefined : record.status,
    gatewayKept: record.status === "ABSENT" ? undefined : record.captured - record.refunded,
    ...{ createTime: now, updateTime: now },
  });
}
