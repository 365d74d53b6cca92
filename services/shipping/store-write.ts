import type { Opened, OwnTransaction, Queryable, RequestKey, TransactionOptions } from "#mesh/postgres/index.ts";
import type { ParcelLine } from "./domain-packing.ts";
import { isFinalParcel, type Scan } from "./domain-shipment.ts";
import type { ShipmentRow } from "./store.ts";

/** The shipment that a request made, or that an order has this way. The hash is gone when the address is. */
export interface MadeShipment {
  readonly id: string;
  readonly requestSha256: Buffer | null;
}

/** What a request made, and what its order has this way: to be sent in the round trip in which a transaction begins. */
export function bookedStatements(
  key: RequestKey,
  { orderId, returnId }: Pick<ShipmentRow, "orderId" | "returnId">,
): TransactionOptions["opening"] {
  return [
    {
      text: `select id, request_sha256 as "requestSha256" from shipments where principal = $1 and request_id = $2`,
      values: [key.principal, key.requestId],
    },
    { text: "select id from shipments where order_id = $1 and return_id = $2", values: [orderId, returnId] },
  ];
}

/** Reads the rows of `bookedStatements`. */
export function readBooked([made = [], existing = []]: Opened): {
  readonly made: MadeShipment | undefined;
  readonly existingId: string | undefined;
} {
  // The rows of the opening statements come in their order.
  const [first] = existing as readonly { readonly id: string }[];
  return { made: made[0] as MadeShipment | undefined, existingId: first?.id };
}

/** Books a shipment that is to be sorted, with the commit. Violates `shipments_by_request` and `shipments_one_a_way`. */
export function insertShipment(tx: OwnTransaction, shipment: ShipmentRow, key: RequestKey): void {
  const { parcels } = shipment;
  tx.last(
    `with booked as (
       insert into shipments (id, order_id, return_id, customer_id, direction, state, speed, zone, depot, address,
         promised_time, version, sort_due_time, create_time, update_time, principal, request_id, request_sha256)
       values ($1, $2, $3, $4, $5, 'BOOKED', $6, $7, $8, $9, $10, 1, $11, $11, $11, $12, $13, $14)
     ), line as (
       select position, array_agg(sku order by at) as skus, array_agg(quantity order by at) as quantities
       from unnest($19::int[], $20::text[], $21::bigint[]) with ordinality as l (position, sku, quantity, at)
       group by position
     )
     insert into parcels (id, shipment_id, position, state, skus, quantities, weight_grams, volume_ml, length_mm)
     select p.id, $1, position, 'BOOKED', line.skus, line.quantities, p.weight_grams, p.volume_ml, p.length_mm
     from unnest($15::text[], $16::int[], $17::int[], $18::int[])
       with ordinality as p (id, weight_grams, volume_ml, length_mm, position)
     join line using (position)`,
    [
      shipment.id,
      shipment.orderId,
      shipment.returnId,
      shipment.customerId,
      shipment.direction,
      shipment.speed,
      shipment.zone,
      shipment.depot,
      JSON.stringify(shipment.address),
      shipment.promisedTime,
      shipment.createTime,
      key.principal,
      key.requestId,
      key.requestSha256,
      parcels.map(({ id }) => id),
      parcels.map(({ weightGrams }) => weightGrams),
      parcels.map(({ volumeMl }) => volumeMl),
      parcels.map(({ lengthMm }) => lengthMm),
      parcels.flatMap(({ lines }, at) => lines.map(() => at + 1)),
      parcels.flatMap(({ lines }) => lines.map(({ sku }) => sku)),
      parcels.flatMap(({ lines }) => lines.map(({ quantity }) => quantity)),
    ],
  );
}

/** What others are told of a change. */
export interface NewEvent {
  readonly id: string;
  readonly returnedLines: readonly ParcelLine[];
}

/** Scans that are new for parcels of a locked shipment, and what it came to. */
export interface ScanChange {
  /** The shipment as it is from now on. */
  readonly changed: ShipmentRow;
  readonly scans: readonly { readonly parcelId: string; readonly scan: Scan }[];
  /** When its state is another one. */
  readonly event: NewEvent | undefined;
}

/** Writes what scans made of a locked shipment. One statement. */
export async function writeScans(tx: Queryable, { changed, scans, event }: ScanChange): Promise<void> {
  const scanned = new Set(scans.map(({ parcelId }) => parcelId));
  const parcels = changed.parcels.filter(({ id }) => scanned.has(id));
  await tx.query(
    `with moved as (
       update parcels set state = p.state, expected_time = p.expected_time
       from unnest($2::text[], $3::text[], $4::timestamptz[]) as p (id, state, expected_time) where parcels.id = p.id
     ), ended as (
       update parcel_legs set open = false where parcel_id = any($5) and open
     ), kept as (
       insert into scans (parcel_id, kind, scan_time, record_time, depot, note)
       select * from unnest($6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[])
     ), told as (
       insert into shipment_events (id, shipment_id, state, returned_skus, returned_quantities, event_time)
       select $15::text, $1, $12, $16::text[], $17::bigint[], $14 where $15::text is not null
     )
     update shipments set state = $12, version = $13, update_time = $14 where id = $1`,
    [
      changed.id,
      parcels.map(({ id }) => id),
      parcels.map(({ state }) => state),
      parcels.map(({ expectedTime }) => expectedTime),
      parcels.filter(({ state }) => isFinalParcel(state)).map(({ id }) => id),
      scans.map(({ parcelId }) => parcelId),
      scans.map(({ scan }) => scan.kind),
      scans.map(({ scan }) => scan.scanTime),
      scans.map(({ scan }) => scan.recordTime),
      scans.map(({ scan }) => scan.depot),
      scans.map(({ scan }) => scan.note),
      changed.state,
      changed.version,
      changed.updateTime,
      event?.id,
      event?.returnedLines.map(({ sku }) => sku) ?? [],
      event?.returnedLines.map(({ quantity }) => quantity) ?? [],
    ],
  );
}

/** The shipment that a request called off. */
export async function findCancelled(db: Queryable, key: RequestKey): Promise<string | undefined> {
  const [row] = await db.query<{ readonly id: string }>(
    "select id from shipments where cancel_principal = $1 and cancel_request_id = $2",
    [key.principal, key.requestId],
  );
  return row?.id;
}

/** Locks depots, in the order of their ids: whoever changes their tours. After the shipments. */
export async function lockDepots(tx: Queryable, ids: readonly string[]): Promise<void> {
  // Whoever books a shipment refers to its depot, and need not wait.
  await tx.query("select 1 from depots where id = any($1) order by id for no key update", [ids]);
}

/**
 * Calls a locked shipment off: its parcels leave their tours, whose depot must be locked. One statement, sent with the
 * commit. Violates `shipments_by_cancel_request`.
 */
export function cancelShipment(
  tx: OwnTransaction,
  { shipment, key, event, now }: { shipment: ShipmentRow; key: RequestKey; event: NewEvent; now: Date },
): void {
  tx.last(
    `with called_off as (
       update parcels set state = 'CANCELLED' where shipment_id = $1
     ), freed as (
       update parcel_legs l set open = false from parcels p where p.shipment_id = $1 and l.parcel_id = p.id
     ), given as (
       select l.tour_id, sum(p.weight_grams) as grams, sum(p.volume_ml) as ml
       from parcel_legs l join parcels p on p.id = l.parcel_id where p.shipment_id = $1 group by l.tour_id
     ), room as (
       update tours set taken_grams = taken_grams - given.grams, taken_ml = taken_ml - given.ml
       from given where tours.id = given.tour_id
     ), told as (
       insert into shipment_events (id, shipment_id, state, event_time) values ($2, $1, 'CANCELLED', $3)
     )
     update shipments set state = 'CANCELLED', version = version + 1, update_time = $3, sort_due_time = null,
       cancel_principal = $4, cancel_request_id = $5
     where id = $1`,
    [shipment.id, event.id, now, key.principal, key.requestId],
  );
}
