import type { Logger } from "pino";
import type { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Repeating, repeat } from "#mesh/repeat.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import { backoffMs, STUCK_ATTEMPTS } from "./domain-retry.ts";
import type { Errand } from "./domain-saga.ts";
import { sendMail } from "./errand-mails.ts";
import { fetchReturn, leaveReturn } from "./errand-returns.ts";
import { type ClaimedErrand, claimErrands, type ErrandOutcome, recordErrands } from "./store-errands.ts";

/** How many errands of one sort a process does at once. */
const BATCH = 32;
/** Batches in a row before others of the process get a turn. */
const MAX_BATCHES = 100;
/** How long an errand's calls may take. */
const TIMEOUT_MS = 5_000;
/** After so long somebody else does it: longer than all its calls take. */
const LEASE_MS = 30_000;

export interface ErrandDeps {
  readonly db: Database;
  readonly log: Logger;
  readonly shipping: Client<typeof ShippingService>;
  readonly notifications: Client<typeof NotificationService>;
  readonly background: (options: { name: string; timeoutMs: number; signal: AbortSignal }) => OwnCall;
  /** At least 0, less than 1. */
  readonly random: () => number;
  /** How often to look for errands that others wrote down, or that are due again. */
  readonly intervalMs: number;
}

/** Does errands; `undefined`: it is done, or there is nothing to do any more. Otherwise what came of the try. */
export type DoErrand = (errand: ClaimedErrand, call: OwnCall) => Promise<string | undefined>;

/** The errands of orders, done in the background by every process. */
export interface Errands {
  /** Says that there are some. */
  wake(): void;
  close(): Promise<void>;
}

/**
 * Starts to do errands. Each is done at least once, under a key of its own, so that it has its effect once; orders wait for
 * none of them. Those of one callee wait for no other's.
 */
export function startErrands(deps: ErrandDeps): Errands {
  const mail = sendMail(deps);
  const fetching = fetchReturn(deps);
  const leaving = leaveReturn(deps);
  const sorts = [
    startSort(deps, "mails", {
      mail_confirmation: mail,
      mail_shipped: mail,
      mail_delivered: mail,
      mail_refund: mail,
    }),
    startSort(deps, "ways back", { fetch_return: fetching, leave_return: leaving }),
  ];
  return {
    wake: () => {
      for (const sort of sorts) sort.wake();
    },
    close: async () => {
      await Promise.all(sorts.map((sort) => sort.close()));
    },
  };
}

function startSort(deps: ErrandDeps, name: string, doers: { readonly [Kind in Errand["kind"]]?: DoErrand }): Repeating {
  const { db, log, intervalMs: everyMs } = deps;
  const done = new Map<string, DoErrand>(Object.entries(doers));
  const kinds = Object.keys(doers).flatMap((kind) => (isKind(kind) ? [kind] : []));
  const options = { kinds, limit: BATCH, leaseMs: LEASE_MS };
  return repeat({ name, everyMs, log }, async (signal) => {
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch += 1) {
      const errands = await claimErrands(db, options);
      const outcomes = await Promise.all(
        errands.map((errand) => outcomeOf(deps, errand, { act: done.get(errand.kind), signal })),
      );
      await recordErrands(db, outcomes);
      if (errands.length < BATCH) return;
    }
  });
}

const allKinds: Readonly<Record<Errand["kind"], true>> = {
  mail_confirmation: true,
  mail_shipped: true,
  mail_delivered: true,
  mail_refund: true,
  fetch_return: true,
  leave_return: true,
};

function isKind(text: string): text is Errand["kind"] {
  return Object.hasOwn(allKinds, text);
}

async function outcomeOf(
  { log, background, random }: ErrandDeps,
  errand: ClaimedErrand,
  { act, signal }: { readonly act: DoErrand | undefined; readonly signal: AbortSignal },
): Promise<ErrandOutcome> {
  const { orderId, kind, attempts } = errand;
  const call = background({ name: kind, timeoutMs: TIMEOUT_MS, signal });
  try {
    const error = await act?.(errand, call);
    if (error === undefined) return { errand, done: true, backoffMs: 0, error: "" };
    if (attempts === STUCK_ATTEMPTS) log.error({ orderId, errand: kind, attempts, error }, "an errand is stuck");
    return { errand, done: false, backoffMs: backoffMs(attempts, random()), error };
  } catch (error) {
    log.error({ err: error, orderId, errand: kind }, "an errand failed by a defect");
    return { errand, done: false, backoffMs: backoffMs(attempts, random()), error: "INTERNAL (a defect)" };
  } finally {
    call.done();
  }
}
