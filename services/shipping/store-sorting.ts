import type { Queryable } from "#mesh/postgres/index.ts";
import type { PlannedLeg, TakenRoom, Tour } from "./domain-sorting.ts";

/** Claims at most `limit` shipments that are due to be sorted, express ones first; others' claims are passed over. */
export async function claimUnsorted(
  tx: Queryable,
  { now, limit }: { readonly now: Date; readonly limit: number },
): Promise<readonly string[]> {
  // "EXPRESS" comes before "STANDARD".
  const rows = await tx.query<{ readonly id: string }>(
    `select id from shipments where sort_due_time <= $1 order by speed, sort_due_time limit $2 for update skip locked`,
    [now, limit],
  );
  return rows.map(({ id }) => id);
}

/** Claims one shipment, if it is still to be sorted and nobody else has claimed it. */
export async function claimOne(tx: Queryable, id: string): Promise<readonly string[]> {
  return (
    await tx.query<{ readonly id: string }>(
      "select id from shipments where id = $1 and sort_due_time is not null for update skip locked",
      [id],
    )
  ).map((row) => row.id);
}

/** The tours of these vehicles that leave from `day` on and were taken room in. Their depots must be locked. */
export async function readTours(
  tx: Queryable,
  { vehicles, day }: { readonly vehicles: readonly string[]; readonly day: string },
): Promise<readonly Tour[]> {
  return tx.query<Tour>(
    `select id, vehicle, day, number, depart_time as "departTime", capacity_grams as "capacityGrams",
       capacity_ml as "capacityMl", taken_grams as "takenGrams", taken_ml as "takenMl"
     from tours where vehicle = any($1) and day >= $2::date`,
    [vehicles, day],
  );
}

/** Takes room in tours, and makes those that are new. Their depots must be locked. Violates `tours_within_…`. */
export async function takeRoom(tx: Queryable, taken: readonly TakenRoom[]): Promise<void> {
  if (taken.length === 0) return;
  await tx.query(
    `insert into tours (id, vehicle, day, number, depart_time, capacity_grams, capacity_ml, taken_grams, taken_ml)
     select * from unnest($1::text[], $2::text[], $3::date[], $4::int[], $5::timestamptz[], $6::int[], $7::int[],
       $8::int[], $9::int[])
     on conflict (vehicle, day, number) do update
       set taken_grams = tours.taken_grams + excluded.taken_grams, taken_ml = tours.taken_ml + excluded.taken_ml`,
    [
      taken.map(({ tour }) => tour.id),
      taken.map(({ tour }) => tour.vehicle),
      taken.map(({ tour }) => tour.day),
      taken.map(({ tour }) => tour.number),
      taken.map(({ tour }) => tour.departTime),
      taken.map(({ tour }) => tour.capacityGrams),
      taken.map(({ tour }) => tour.capacityMl),
      taken.map(({ grams }) => grams),
      taken.map(({ ml }) => ml),
    ],
  );
}

/** A parcel with its way. */
export interface SortedParcel {
  readonly parcelId: string;
  readonly expectedTime: Date;
  readonly legs: readonly (PlannedLeg & { readonly tourId: string })[];
}

/** Gives the parcels of claimed shipments their way. One statement. */
export async function writeLegs(
  tx: Queryable,
  { shipmentIds, parcels, now }: { shipmentIds: readonly string[]; parcels: readonly SortedParcel[]; now: Date },
): Promise<void> {
  const legs = parcels.flatMap(({ parcelId, legs: own }) => own.map((leg, at) => ({ ...leg, parcelId, at })));
  await tx.query(
    `with gone as (
       update parcels set expected_time = p.expected_time
       from unnest($3::text[], $4::timestamptz[]) as p (id, expected_time) where parcels.id = p.id
     ), way as (
       insert into parcel_legs (parcel_id, position, from_depot, to_depot, depot, vehicle, tour_id, depart_time)
       select * from unnest($5::text[], $6::int[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
         $12::timestamptz[])
     )
     update shipments set sort_due_time = null, version = version + 1, update_time = $2 where id = any($1)`,
    [
      shipmentIds,
      now,
      parcels.map(({ parcelId }) => parcelId),
      parcels.map(({ expectedTime }) => expectedTime),
      legs.map(({ parcelId }) => parcelId),
      legs.map(({ at }) => at),
      legs.map(({ fromDepot }) => fromDepot),
      legs.map(({ toDepot }) => toDepot),
      legs.map(({ depot }) => depot),
      legs.map(({ kind }) => kind),
      legs.map(({ tourId }) => tourId),
      legs.map(({ departTime }) => departTime),
    ],
  );
}

/** Lets shipments that are still to be sorted wait until `dueTime`. */
export async function postponeSorting(db: Queryable, ids: readonly string[], dueTime: Date): Promise<void> {
  await db.query("update shipments set sort_due_time = $2 where id = any($1) and sort_due_time is not null", [
    ids,
    dueTime,
  ]);
}

const IS_MISSED = `p.state in ('BOOKED', 'SORTED') and exists (
  select from parcel_legs l where l.parcel_id = p.id and l.position = 0 and l.depart_time < $1)`;

/** Shipments of which a parcel is not loaded though its first tour left before `leftBefore`. */
export async function listMissed(db: Queryable, leftBefore: Date, limit: number): Promise<readonly string[]> {
  const rows = await db.query<{ readonly id: string }>(
    `select s.id from shipments s
     where s.state in ('BOOKED', 'IN_TRANSIT') and s.sort_due_time is null
       and exists (select from parcels p where p.shipment_id = s.id and ${IS_MISSED})
     order by s.id limit $2`,
    [leftBefore, limit],
  );
  return rows.map(({ id }) => id);
}

/**
 * Takes the parcels of a locked shipment that missed their first tour out of all of theirs, and lets it be sorted again.
 * Says whether there were any. Its depot must be locked.
 */
export async function leaveMissedTours(
  tx: Queryable,
  { shipmentId, leftBefore, now }: { readonly shipmentId: string; readonly leftBefore: Date; readonly now: Date },
): Promise<boolean> {
  const rows = await tx.query(
    `with missed as (
       select p.id, p.weight_grams, p.volume_ml from parcels p where p.shipment_id = $2 and ${IS_MISSED}
     ), gone as (
       delete from parcel_legs l using missed where l.parcel_id = missed.id
       returning l.tour_id, missed.weight_grams, missed.volume_ml
     ), given as (
       select tour_id, sum(weight_grams) as grams, sum(volume_ml) as ml from gone group by tour_id
     ), room as (
       update tours set taken_grams = taken_grams - given.grams, taken_ml = taken_ml - given.ml
       from given where tours.id = given.tour_id
     ), waiting as (
       update parcels set expected_time = null from missed where parcels.id = missed.id
     )
     update shipments set sort_due_time = $3, version = version + 1, update_time = $3
     where id = $2 and exists (select from missed)
     returning id`,
    [leftBefore, shipmentId, now],
  );
  return rows.length > 0;
}
