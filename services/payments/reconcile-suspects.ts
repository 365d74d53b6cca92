import { isReason } from "#mesh/contract/errors.ts";
import { type Aligned, align } from "./align.ts";
import { type Deps, fail } from "./deps.ts";
import * as discrepancyStore from "./discrepancy-store.ts";
import type { GatewayStanding } from "./domain-alignment.ts";
import { each } from "./each.ts";
import { isOpen } from "./payment-gateway.ts";
import * as reconcileStore from "./reconcile-store.ts";
import * as store from "./store.ts";

/** How many suspects a round looks at, and how many of them at once. */
const MAX_SUSPECTS = 200;
/** When to look again at what could not be looked at, and at what differs and has been reported. */
const AGAIN_MS = 60_000;
const OPEN_AGAIN_MS = 600_000;
/** How many payments of one order are looked at for an authorization that no payment is known to have. */
const MAX_CANDIDATES = 20;

interface Looked {
  readonly differing: number;
  readonly repaired: number;
  /** Whether nothing that was due is left. */
  readonly isAll: boolean;
}

/** Looks closely at what is due: repairs it, reports it, or finds that both agree by now. */
export async function lookAtSuspects(
  deps: Deps,
  progress: reconcileStore.Progress,
  { signal, again }: { readonly signal: AbortSignal; readonly again: boolean },
): Promise<Looked> {
  const { db, clock, log } = deps;
  const { provider } = progress;
  const due = { now: clock.now(), open: again, limit: MAX_SUSPECTS };
  const suspects = await reconcileStore.dueSuspects(db, provider, due);
  const ends: Aligned["end"][] = [];
  await each(log, suspects, async (suspect) => {
    if (signal.aborted) return;
    try {
      ends.push(await look(deps, progress, suspect));
    } catch (error) {
      const to = new Date(clock.now().getTime() + AGAIN_MS);
      await reconcileStore.postponeSuspect(db, provider, suspect.id, to);
      if (!isReason(error, "OUTCOME_UNKNOWN")) throw error;
    }
  });
  const count = (end: Aligned["end"]): number => ends.filter((one) => one === end).length;
  const isAll = suspects.length < MAX_SUSPECTS && !signal.aborted;
  return { differing: count("differ"), repaired: count("repaired"), isAll };
}

async function look(
  deps: Deps,
  progress: reconcileStore.Progress,
  { id, isPayment }: reconcileStore.Suspect,
): Promise<Aligned["end"]> {
  const found = isPayment ? await ofPayment(deps, id) : await ofAuthorization(deps, id);
  const { db, clock } = deps;
  const { provider } = progress;
  const now = clock.now();
  await db.transaction(async (tx) => {
    await reconcileStore.advance(tx, progress);
    await noteRecord(tx, provider, found);
    const again = new Date(now.getTime() + OPEN_AGAIN_MS);
    if (found.end === "differ" && (isPayment || found.paymentId === undefined)) {
      await reconcileStore.postponeSuspect(tx, provider, id, again);
      return;
    }
    await reconcileStore.deleteSuspect(tx, provider, id);
    await discrepancyStore.endDiscrepancy(tx, { provider, subject: id, state: "RESOLVED", now });
    // An authorization that turned out to be a payment's: what differs is that payment from now on.
    if (found.end === "differ" && found.paymentId !== undefined) {
      await reconcileStore.addSuspects(tx, provider, [{ id: found.paymentId, isPayment: true }], again);
    }
  });
  return found.end;
}

interface Found {
  readonly paymentId: string | undefined;
  readonly reference: string | undefined;
  readonly theirs: GatewayStanding | undefined;
  readonly end: Aligned["end"];
}

async function ofPayment(deps: Deps, paymentId: string): Promise<Found> {
  const aligned = await align(deps, await store.loadPayment(deps.db, paymentId));
  return { ...aligned, paymentId, reference: aligned.payment.authorizationReference };
}

/** An authorization that no payment is known to have: one whose answer was lost, one given up, or none of ours. */
async function ofAuthorization(deps: Deps, reference: string): Promise<Found> {
  const { db, gateway, clock, newId } = deps;
  const known = await store.findByAuthorization(db, gateway.name, reference);
  if (known !== undefined) return ofPayment(deps, known.id);
  const found = await gateway.find(reference);
  if (isOpen(found)) throw fail("OUTCOME_UNKNOWN", "The payment gateway could not be asked; ask again.");
  if (found.kind === "absent") return { paymentId: undefined, reference, theirs: undefined, end: "agree" };
  if (found.kind !== "ok") throw new Error(`the payment gateway does not show ${reference}: ${found.code}`);
  const theirs = found.value;
  const wanted = { provider: gateway.name, orderId: theirs.ourReference, limit: MAX_CANDIDATES };
  for (const candidate of await store.listUnreferenced(db, wanted)) {
    const { payment, end } = await align(deps, candidate);
    if (payment.authorizationReference === reference) return { ...(await ofPayment(deps, payment.id)), end };
  }
  const kept = theirs.captured - theirs.refunded;
  // Of what holds nobody's money there is nothing to say.
  if (theirs.status !== "AUTHORIZED" && kept === 0n) return { paymentId: undefined, reference, theirs, end: "agree" };
  const now = clock.now();
  await discrepancyStore.noteDiscrepancy(db, {
    ...{ id: newId("dis"), provider: gateway.name, kind: "MISSING_IN_BOOKS", state: "OPEN", paymentId: undefined },
    ...{
      authorizationReference: reference,
      currencyCode: theirs.currencyCode,
      ourState: undefined,
      ourKept: undefined,
    },
    ...{ gatewayState: theirs.status, gatewayKept: kept, createTime: now, updateTime: now },
  });
  return { paymentId: undefined, reference, theirs, end: "differ" };
}

async function noteRecord(
  tx: Parameters<typeof reconcileStore.setRecord>[0],
  provider: string,
  { reference, theirs }: Found,
): Promise<void> {
  if (reference === undefined) return;
  if (theirs === undefined || theirs.status === "ABSENT") await reconcileStore.deleteRecord(tx, provider, reference);
  else await reconcileStore.setRecord(tx, provider, { ...theirs, status: theirs.status, reference });
}
