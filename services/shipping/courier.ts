import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { random } from "#mesh/random.ts";
import { type Repeating, repeat } from "#mesh/repeat.ts";
import { nextScan } from "./domain-courier.ts";
import type { ParcelScan } from "./domain-shipment.ts";
import { takeIn } from "./record-scan.ts";
import type { ShipmentRow } from "./store.ts";
import { lockShipmentUnlessTaken } from "./store.ts";
import { listWaiting } from "./store-courier.ts";

/** When the courier moves. */
export interface CourierTimings {
  /** How often the courier looks round. */
  readonly roundMs: number;
  /** How long a parcel rests between two steps, at the least; some rounds longer by chance. */
  readonly stepMs: number;
}

const defaultTimings: CourierTimings = { roundMs: 1_000, stepMs: 3_000 };
/** How many of the shipments that could go on stay where they are, in a round. */
const RESTING_SHARE = 0.4;
/** How many shipments one round moves at the most. */
const MAX_MOVES = 200;

export interface CourierDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly tell: (shipment: ShipmentRow) => void;
  readonly log: Pick<Logger, "warn">;
  /** At least 0, less than 1. */
  readonly chance?: () => number;
  readonly timings?: CourierTimings;
}

/** Moves parcels along as people with scanners would, so that a shop without any can be watched at work. */
export function startCourier(deps: CourierDeps): Repeating {
  const { roundMs } = deps.timings ?? defaultTimings;
  return repeat({ name: "the simulated courier", everyMs: roundMs, log: deps.log }, (signal) => goRound(deps, signal));
}

/** One round: every shipment that has rested is moved by one step, but for those that rest some more. */
export async function goRound(deps: CourierDeps, signal: AbortSignal): Promise<void> {
  const { db, clock, chance = random, timings = defaultTimings } = deps;
  const restedSince = new Date(clock.now().getTime() - timings.stepMs);
  for (const id of await listWaiting(db, restedSince, MAX_MOVES)) {
    if (signal.aborted) return;
    if (chance() >= RESTING_SHARE) await move(deps, id, restedSince);
  }
}

/** One step. Whom another instance moves, or moved meanwhile, is passed over. */
async function move(deps: CourierDeps, id: string, restedSince: Date): Promise<void> {
  const { db, clock } = deps;
  const moved = await db.transaction(async (tx) => {
    const shipment = await lockShipmentUnlessTaken(tx, id);
    if (shipment === undefined || shipment.updateTime > restedSince) return undefined;
    const now = clock.now();
    const scans = shipment.parcels.flatMap((parcel): readonly ParcelScan[] => {
      const next = nextScan(parcel, shipment);
      return next === undefined
        ? []
        : [{ parcelId: parcel.id, scan: { ...next, scanTime: now, recordTime: now, note: "" } }];
    });
    return (await takeIn(deps, tx, shipment, scans)).shipment;
  });
  if (moved !== undefined) deps.tell(moved);
}
