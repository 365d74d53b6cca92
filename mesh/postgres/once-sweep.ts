import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import type { Database } from "./database.ts";
import { ONCE_RETENTION_MS, ONCE_SWEEP_INTERVAL_MS } from "./limits.ts";
import { sweepOnce } from "./once.ts";

/**
 * Forgets, again and again, the answers that `once` has kept for long enough, until it is closed. Every process that
 * uses `once` starts one; several at a time do no harm.
 */
export function startOnceSweep(deps: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Pick<Logger, "warn">;
  readonly everyMs?: number;
}): Background {
  const { db, clock, log, everyMs = ONCE_SWEEP_INTERVAL_MS } = deps;
  return repeat({ name: "forgetting old answers", everyMs, log }, async (signal) => {
    await sweepOnce(db, new Date(clock.now().getTime() - ONCE_RETENTION_MS), signal);
  });
}
