import type { Logger } from "pino";
import type { Clock } from "#mesh/clock.ts";
import type { Database, Transaction } from "#mesh/postgres/index.ts";
import { type Repeating, repeat } from "#mesh/repeat.ts";
import type { Network } from "./domain-network.ts";
import { isFinalParcel } from "./domain-shipment.ts";
import { createPlanner, type Planner, type TourKey, vehiclesOf } from "./domain-sorting.ts";
import type { CurrentNetwork } from "./network.ts";
import { getShipments, type ShipmentRow } from "./store.ts";
import {
  claimOne,
  claimUnsorted,
  postponeSorting,
  readTours,
  type SortedParcel,
  takeRoom,
  writeLegs,
} from "./store-sorting.ts";
import { lockDepots } from "./store-write.ts";

/** How many shipments one transaction sorts. */
const SORT_BATCH = 20;
/** How long a shipment waits that another process booked and then could not sort, at the most. */
const SORT_INTERVAL_MS = 1_000;
/** After how long a shipment is tried again that found no room, or could not be sorted for another cause. */
const RETRY_MS = 5 * 60_000;

export interface SorterDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly network: Pick<CurrentNetwork, "current">;
  readonly tell: (shipment: ShipmentRow) => void;
  readonly log: Pick<Logger, "warn" | "error">;
}

/** Gives parcels their tours soon after they were booked. Any number of processes may do so at once. */
export function startSorter(deps: SorterDeps): Repeating {
  const options = { name: "sorting parcels", everyMs: SORT_INTERVAL_MS, log: deps.log };
  return repeat(options, async (signal) => {
    while (!signal.aborted && (await sortDue(deps)) === SORT_BATCH);
  });
}

/** Sorts a batch of what is due, and says how many shipments that were. */
export async function sortDue(deps: SorterDeps): Promise<number> {
  const claimed: string[] = [];
  try {
    await sort(deps, async (tx) => {
      const ids = await claimUnsorted(tx, { now: deps.clock.now(), limit: SORT_BATCH });
      claimed.splice(0, claimed.length, ...ids);
      return ids;
    });
  } catch (error) {
    if (claimed.length === 0) throw error;
    // One that cannot be sorted must not keep the others.
    for (const id of claimed) await sortAlone(deps, id);
  }
  return claimed.length;
}

async function sortAlone(deps: SorterDeps, id: string): Promise<void> {
  try {
    await sort(deps, (tx) => claimOne(tx, id));
  } catch (error) {
    deps.log.error({ err: error, shipment: id }, "a shipment could not be sorted; trying again later");
    await postponeSorting(deps.db, [id], new Date(deps.clock.now().getTime() + RETRY_MS));
  }
}

/** One transaction. Its locks, in this order: the claimed shipments, then their depots. */
async function sort(deps: SorterDeps, claim: (tx: Transaction) => Promise<readonly string[]>): Promise<void> {
  const { db, clock, network, log, tell } = deps;
  const sorted = await db.transaction(async (tx) => {
    const ids = await claim(tx);
    if (ids.length === 0) return [];
    const found = new Map((await getShipments(tx, ids)).map((row) => [row.id, row]));
    const rows = ids.flatMap((id) => found.get(id) ?? []);
    const depots = [...new Set(rows.map(({ depot }) => depot))].toSorted();
    await lockDepots(tx, depots);
    const now = clock.now();
    const current = network.current();
    const vehicles = depots.flatMap((depot) => vehiclesOf(current, depot)).map(({ id }) => id);
    const tours = await readTours(tx, { vehicles, day: now.toISOString().slice(0, 10) });
    const planner = createPlanner(current, tours, now);
    const planned = rows.map((row) => ({ row, parcels: planShipment(planner, current, row) }));
    const without = planned.filter(({ parcels }) => parcels === undefined).map(({ row }) => row.id);
    if (without.length > 0) {
      log.warn({ shipments: without }, "no tour has room for some shipments; they wait");
      await postponeSorting(tx, without, new Date(now.getTime() + RETRY_MS));
    }
    const done = planned.flatMap(({ row, parcels }) => (parcels === undefined ? [] : [{ row, parcels }]));
    await write(deps, tx, { planner, done, now });
    return done.map(({ row }) => row.id);
  });
  if (sorted.length === 0) return;
  for (const shipment of await getShipments(db, sorted)) tell(shipment);
}

type PlannedShipment = NonNullable<ReturnType<typeof planShipment>>;

function planShipment(planner: Planner, network: Network, row: ShipmentRow) {
  const distance = network.zones.find(({ id }) => id === row.zone)?.distance ?? "REGION";
  // Some have their tours, when one of them missed its own; and what was scanned in between may be where it ends already.
  const parcels = row.parcels.filter(({ state, legs }) => legs.length === 0 && !isFinalParcel(state));
  return planner.plan({ ...row, distance, parcels });
}

async function write(
  { newId }: SorterDeps,
  tx: Transaction,
  plan: {
    readonly planner: Planner;
    readonly done: readonly { readonly row: ShipmentRow; readonly parcels: PlannedShipment }[];
    readonly now: Date;
  },
): Promise<void> {
  const taken = plan.planner
    .taken()
    .map(({ tour, ...room }) => ({ ...room, tour: { ...tour, id: tour.id || newId("tou") } }));
  const idOf = new Map(taken.map(({ tour }) => [tourName(tour), tour.id]));
  const parcels = plan.done
    .flatMap((one) => one.parcels)
    .map(
      ({ parcel, legs, expectedTime }): SortedParcel => ({
        parcelId: parcel.id,
        expectedTime,
        legs: legs.map((leg) => {
          const tourId = idOf.get(tourName(leg.tour));
          if (tourId === undefined) throw new Error("a leg goes with a tour in which no room was taken");
          return { ...leg, tourId };
        }),
      }),
    );
  await takeRoom(tx, taken);
  await writeLegs(tx, { shipmentIds: plan.done.map(({ row }) => row.id), parcels, now: plan.now });
}

function tourName({ vehicle, day, number }: TourKey): string {
  return `${vehicle}/${day}/${number}`;
}
