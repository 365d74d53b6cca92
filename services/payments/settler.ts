import { isReason } from "#mesh/contract/errors.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import { align } from "./align.ts";
import type { Deps } from "./deps.ts";
import { each } from "./each.ts";
import * as operationStore from "./operation-store.ts";
import { finish } from "./operations.ts";
import * as store from "./store.ts";

const SETTLE_INTERVAL_MS = 5_000;
/** Between two questions after one operation: doubling from the first to the last. */
const FIRST_BACKOFF_MS = 5_000;
const MAX_BACKOFF_MS = 300_000;
/** How long after it was given up an authorization may still turn up, by far. */
const WATCH_ABANDONED_MS = 3_600_000;
/** How long one that should have lapsed and has not is left alone. */
const LAPSE_AGAIN_MS = 86_400_000;
/** How many a statement reads. */
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
  let settled = 0;
  for (;;) {
    // What stays open is postponed, so every turn reads others.
    const due = await operationStore.listDue(deps.db, deps.clock.now(), BATCH);
    await each(deps.log, due, async (operation) => {
      if (!signal.aborted && (await settle(deps, operation))) settled += 1;
    });
    if (due.length < BATCH || signal.aborted) return settled;
  }
}

async function settle(deps: Deps, operation: operationStore.OperationRow): Promise<boolean> {
  const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** operation.attempts, MAX_BACKOFF_MS);
  // First, so that one that cannot be settled keeps no other waiting, whatever goes wrong with it.
  await operationStore.postponeOperation(deps.db, {
    id: operation.id,
    attempts: operation.attempts + 1,
    nextTryTime: new Date(deps.clock.now().getTime() + backoffMs),
  });
  const payment = await store.loadPayment(deps.db, operation.paymentId);
  try {
    await finish(deps, { operation, payment });
    return true;
  } catch (error) {
    if (isReason(error, "OUTCOME_UNKNOWN")) return false;
    throw error;
  }
}

/** Lets go authorizations that turned up after they had been given up: nobody will ever capture them. */
export async function voidAbandoned(deps: Deps, signal: AbortSignal): Promise<void> {
  let after = { updateTime: new Date(deps.clock.now().getTime() - WATCH_ABANDONED_MS), id: "" };
  for (;;) {
    const page = await operationStore.listAbandoned(deps.db, after, BATCH);
    await each(deps.log, page, async (operation) => {
      if (!signal.aborted) await voidIfThere(deps, operation);
    });
    const last = page.at(-1);
    if (last === undefined || page.length < BATCH || signal.aborted) return;
    after = last;
  }
}

async function voidIfThere(deps: Deps, { id, paymentId }: operationStore.OperationRow): Promise<void> {
  const payment = await store.loadPayment(deps.db, paymentId);
  if (payment.provider !== deps.gateway.name) return;
  const { theirs } = await align(deps, payment);
  if (theirs !== undefined) await operationStore.markAbandonedVoided(deps.db, id, deps.clock.now());
}

/** Notes what has lapsed at the payment gateway, when its time is up. */
async function lapse(deps: Deps, signal: AbortSignal): Promise<void> {
  const { db, clock, gateway, log } = deps;
  const now = clock.now();
  await each(log, await store.listLapsed(db, { provider: gateway.name, now, limit: BATCH }), async (found) => {
    if (signal.aborted) return;
    const { payment } = await align(deps, found);
    if (payment.state !== "AUTHORIZED") return;
    // Our clock may run ahead of the gateway's, or somebody captured it there.
    log.error({ payment: payment.id }, "a payment has not lapsed at the payment gateway though its time is up");
    await store.postponeLapse(db, payment.id, new Date(now.getTime() + LAPSE_AGAIN_MS));
  });
}
