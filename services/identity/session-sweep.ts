import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import * as store from "./store.ts";

const SWEEP_INTERVAL_MS = 60 * 60 * 1_000;
const SWEEP_BATCH = 1_000;
/** An expired session is remembered for a week, so that a stolen token that comes late is still known as such. */
const KEEP_MS = 7 * 24 * 60 * 60 * 1_000;

/** Forgets sessions that expired long ago, with their tokens and their guests, until it is closed. */
export function startSessionSweep(deps: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
}): Background {
  const { db, clock, log } = deps;
  return repeat({ name: "forgetting expired sessions", everyMs: SWEEP_INTERVAL_MS, log }, async (signal) => {
    const before = new Date(clock.now().getTime() - KEEP_MS);
    while (!signal.aborted && (await store.deleteExpiredSessions(db, before, SWEEP_BATCH)) === SWEEP_BATCH);
    // A guest is nobody without a session: there is no other way in.
    while (!signal.aborted && (await store.deleteLapsedGuests(db, before, SWEEP_BATCH)) === SWEEP_BATCH);
  });
}
