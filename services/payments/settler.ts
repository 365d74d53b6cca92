import { isReason } from "#mesh/contract/errors.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import type { Deps } from "./deps.ts";
import { finish } from "./operations.ts";
import * as store from "./store.ts";

const SETTLE_INTERVAL_MS = 5_000;
/** Longer than a call waits for the payment gateway, so that operations that are merely under way are left alone. */
const SETTLE_AFTER_MS = 15_000;
/** How long after it was given up an authorization may still turn up, by far. */
const WATCH_ABANDONED_MS = 3_600_000;
const BATCH = 50;

/** Settles, round after round, what calls left open, until it is closed. */
export function startSettler(deps: Deps): Background {
  return repeat({ name: "settling payments", everyMs: SETTLE_INTERVAL_MS, log: deps.log }, async (signal) => {
    await settlePending(deps, signal);
    await voidAbandoned(deps, signal);
    await lapse(deps, signal);
  });
}

/** Finds out what came of operations whose call ended without an answer. Returns how many are settled now. */
export async function settlePending(deps: Deps, signal: AbortSignal): Promise<number> {
  const before = new Date(deps.clock.now().getTime() - SETTLE_AFTER_MS);
  let settled = 0;
  for (const operation of await store.listPending(deps.db, before, BATCH)) {
    if (signal.aborted) break;
    const payment = await store.getPayment(deps.db, operation.paymentId);
    if (payment === undefined) continue;
    try {
      await finish(deps, { operation, payment });
      settled += 1;
    } catch (error) {
      // Not known yet: the next round asks again. Anything else must not keep the others waiting either.
      if (!isReason(error, "OUTCOME_UNKNOWN")) deps.log.error({ err: error, operation: operation.id }, "cannot settle");
    }
  }
  return settled;
}

/** Lets go authorizations that turned up after they had been given up: nobody will ever capture them. */
export async function voidAbandoned({ db, clock, gateway, log }: Deps, signal: AbortSignal): Promise<void> {
  const after = new Date(clock.now().getTime() - WATCH_ABANDONED_MS);
  for (const { id } of await store.listAbandoned(db, after, BATCH)) {
    if (signal.aborted) return;
    const found = await gateway.lookUp(id);
    if (found.kind !== "ok") continue;
    const voided = await gateway.void({ key: `${id}:void`, authorizationReference: found.value.reference });
    if (voided.kind !== "ok") continue;
    await store.markAbandonedVoided(db, id, clock.now());
    log.warn({ operation: id }, "an authorization that had been given up turned up, and was voided");
  }
}

/** Notes what has lapsed at the payment gateway, when its time is up. */
async function lapse({ db, clock, gateway }: Deps, signal: AbortSignal): Promise<void> {
  for (const { id, authorizationReference } of await store.listLapsed(db, clock.now(), BATCH)) {
    if (signal.aborted || authorizationReference === undefined) return;
    const found = await gateway.find(authorizationReference);
    if (found.kind !== "ok") continue;
    const { status } = found.value;
    if (status === "EXPIRED" || status === "VOIDED")
      await store.lapsePayment(db, { id, state: status, now: clock.now() });
  }
}
