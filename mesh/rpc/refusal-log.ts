import type { Logger } from "pino";

/** The refusals of a process that has too much to do. There may be thousands a second, at the worst time to write lines. */
export interface RefusalLog {
  /** Counts one, and says whether it gets a line of its own: the first after a quiet while does. */
  count(): boolean;
}

/** How long refusals are counted before one line tells how many there were. A process that ends meanwhile tells nobody. */
const INTERVAL_MS = 1_000;

export function createRefusalLog(log: Pick<Logger, "warn">): RefusalLog {
  let counting = false;
  let refused = 0;

  const countOn = (): void => {
    counting = true;
    refused = 0;
    setTimeout(tell, INTERVAL_MS).unref();
  };
  const tell = (): void => {
    counting = refused > 0;
    if (!counting) return;
    log.warn({ reason: "OVERLOADED", refused, intervalMs: INTERVAL_MS }, "calls refused");
    countOn();
  };
  return {
    count() {
      if (counting) {
        refused += 1;
        return false;
      }
      countOn();
      return true;
    },
  };
}
