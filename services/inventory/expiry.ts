import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import * as store from "./store-reservations.ts";

/** How many expired reservations one round gives back at the most. */
const EXPIRY_BATCH = 100;
/** How long after its time a reservation is given back at the latest, when nobody asks for its units before. */
const EXPIRY_INTERVAL_MS = 1_000;

export interface ExpiryDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly changes: { changed(skus: readonly string[]): void };
  readonly log: Pick<Logger, "warn" | "error">;
}

/**
 * Gives back what reservations hold whose time is up, at most `EXPIRY_BATCH` of them; those that hold one of `skus`
 * alone, where given. Each in a transaction of its own, so that locks are few and short. Returns how many were.
 */
export async function expireDue(deps: ExpiryDeps, skus?: readonly string[]): Promise<number> {
  const ids = await store.listExpired(deps.db, { now: deps.clock.now(), limit: EXPIRY_BATCH, skus });
  let expired = 0;
  for (const id of ids) {
    try {
      await expireOne(deps, id);
      expired += 1;
    } catch (error) {
      // One that cannot be given back must not keep the others.
      deps.log.error({ err: error, reservation: id }, "an expired reservation could not be given back");
    }
  }
  return expired;
}

async function expireOne({ db, clock, newId, changes }: ExpiryDeps, id: string): Promise<void> {
  const skus = await db.transaction(async (tx) => {
    const reservation = await store.lockReservation(tx, id);
    // Somebody settled it since it was listed.
    if (reservation?.state !== "ACTIVE") return [];
    const movementIds = reservation.lines.map(() => newId("mov"));
    store.settleReservation(tx, {
      reservation,
      to: "EXPIRED",
      key: undefined,
      movementIds,
      now: clock.now(),
    });
    return reservation.lines.map((line) => line.sku);
  });
  changes.changed(skus);
}

/** Gives expired reservations back, round after round, until it is closed. */
export function startExpiry(deps: ExpiryDeps): Background {
  return repeat(
    {
      name: "giving back expired reservations",
      everyMs: EXPIRY_INTERVAL_MS,
      log: deps.log,
    },
    async (signal) => {
      while (!signal.aborted && (await expireDue(deps)) === EXPIRY_BATCH);
    },
  );
}
