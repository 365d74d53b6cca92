import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import * as store from "./store.ts";
import { deleteDrainedCounts, deleteSurplusCounts } from "./store-attempts.ts";
import { deleteOldEvents } from "./store-events.ts";

const SWEEP_INTERVAL_MS = 60 * 60 * 1_000;
const SWEEP_BATCH = 1_000;

/** An expired session is remembered for a week, so that a stolen token that comes late is still known as such. */
const KEEP_SESSIONS_MS = 7 * 24 * 60 * 60 * 1_000;

/** How long security events are kept: a year, and time to look back on it. */
const KEEP_EVENTS_MS = 400 * 24 * 60 * 60 * 1_000;

/** Each wrong try at an address that nobody tried before adds counts, so these are looked at more often. */
const COUNTS_INTERVAL_MS = 60 * 1_000;

/** So many counts are kept; those that drain off first give way. Each wrong try adds three at the most, after a hash. */
const MAX_COUNTS = 200_000;

interface Swept {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Pick<Logger, "warn">;
}

/** Forgets what has had its time, until it is closed. Several processes at once do no harm. */
export function startSweeps({ db, clock, log }: Swept): readonly Background[] {
  const ago = (ms: number): Date => new Date(clock.now().getTime() - ms);
  return [
    repeat({ name: "forgetting old sessions and events", everyMs: SWEEP_INTERVAL_MS, log }, async (signal) => {
      const sessions = ago(KEEP_SESSIONS_MS);
      await inBatches(signal, () => store.deleteExpiredSessions(db, sessions, SWEEP_BATCH));
      // A guest is nobody without a session: there is no other way in.
      await inBatches(signal, () => store.deleteLapsedGuests(db, sessions, SWEEP_BATCH));
      await inBatches(signal, () => deleteOldEvents(db, ago(KEEP_EVENTS_MS), SWEEP_BATCH));
    }),
    repeat({ name: "forgetting wrong tries", everyMs: COUNTS_INTERVAL_MS, log }, (signal) =>
      sweepCounts({ db, clock }, MAX_COUNTS, signal),
    ),
  ];
}

/** Forgets counts of wrong tries that have drained off, and those beyond `keep`. */
export async function sweepCounts(
  { db, clock }: Pick<Swept, "db" | "clock">,
  keep: number,
  signal: AbortSignal,
): Promise<void> {
  await inBatches(signal, () => deleteDrainedCounts(db, clock.now(), SWEEP_BATCH));
  await inBatches(signal, () => deleteSurplusCounts(db, keep, SWEEP_BATCH));
}

async function inBatches(signal: AbortSignal, batch: () => Promise<number>): Promise<void> {
  while (!signal.aborted && (await batch()) === SWEEP_BATCH);
}
