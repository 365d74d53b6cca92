import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import { getShipment, lockShipmentUnlessTaken, type ShipmentRow } from "./store.ts";
import { leaveMissedTours, listMissed } from "./store-sorting.ts";
import { lockDepots } from "./store-write.ts";

/** How long after its tour has left a parcel counts as left behind: its scan may be late. */
const GRACE_MS = 2 * 3_600_000;
const ROUND_MS = 60_000;
const MAX_SHIPMENTS = 100;

export interface MissedToursDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly tell: (shipment: ShipmentRow) => void;
  readonly sorter: { wake(): void };
  readonly log: Pick<Logger, "warn">;
}

/** Lets parcels that were not loaded when their tour left have another one. */
export function startMissedTours(deps: MissedToursDeps): Background {
  const options = { name: "looking for missed tours", everyMs: ROUND_MS, log: deps.log };
  return repeat(options, async (signal) => {
    while (!signal.aborted && (await replaceMissed(deps)) === MAX_SHIPMENTS);
  });
}

/** Sends shipments of which a parcel missed its tour to be sorted again. Says how many it found. */
export async function replaceMissed({ db, clock, tell, sorter }: MissedToursDeps): Promise<number> {
  const now = clock.now();
  const leftBefore = new Date(now.getTime() - GRACE_MS);
  const ids = await listMissed(db, leftBefore, MAX_SHIPMENTS);
  for (const id of ids) {
    const left = await db.transaction(async (tx) => {
      const shipment = await lockShipmentUnlessTaken(tx, id);
      if (shipment === undefined) return false;
      await lockDepots(tx, [shipment.depot]);
      return leaveMissedTours(tx, { shipmentId: id, leftBefore, now });
    });
    const shipment = left ? await getShipment(db, id) : undefined;
    if (shipment !== undefined) tell(shipment);
  }
  if (ids.length > 0) sorter.wake();
  return ids.length;
}
