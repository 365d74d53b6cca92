import type { Address } from "#gen/shop/type/v1/address.ts";
import type { Queryable } from "#mesh/postgres/index.ts";
import type { Parcel, ParcelState, Shipment, ShipmentState } from "./domain-shipment.ts";
import { PARCEL, PARCELS, PARCELS_WITHOUT_SCANS, type ParcelJson, parcelOf } from "./store-rows.ts";

/** A shipment as it is kept. */
export interface ShipmentRow extends Shipment {
  /** Undefined once it was erased. */
  readonly address: Address | undefined;
}

interface StoredShipment extends Omit<ShipmentRow, "address" | "parcels"> {
  readonly address: Address | null;
  readonly parcels: readonly ParcelJson[];
}

const COLUMNS = `s.id, s.order_id as "orderId", s.return_id as "returnId", s.customer_id as "customerId", s.direction,
  s.state, s.speed, s.zone, s.depot, s.address, s.promised_time as "promisedTime", s.version,
  s.create_time as "createTime", s.update_time as "updateTime"`;

const SELECT = `select ${COLUMNS}, ${PARCELS} as parcels from shipments s`;
const SELECT_WITHOUT_SCANS = `select ${COLUMNS}, ${PARCELS_WITHOUT_SCANS} as parcels from shipments s`;

function rowOf(stored: StoredShipment): ShipmentRow {
  return { ...stored, address: stored.address ?? undefined, parcels: stored.parcels.map(parcelOf) };
}

/** One shipment. */
export async function getShipment(db: Queryable, id: string): Promise<ShipmentRow | undefined> {
  const [row] = await db.query<StoredShipment>(`${SELECT} where s.id = $1`, [id]);
  return row === undefined ? undefined : rowOf(row);
}

/** Those of the shipments that are there, in no order. */
export async function getShipments(db: Queryable, ids: readonly string[]): Promise<readonly ShipmentRow[]> {
  return (await db.query<StoredShipment>(`${SELECT} where s.id = any($1)`, [ids])).map(rowOf);
}

/** Those of the shipments that are newer than the version given, in no order. */
export async function getChangedShipments(
  db: Queryable,
  known: readonly { readonly id: string; readonly version: number }[],
): Promise<readonly ShipmentRow[]> {
  const rows = await db.query<StoredShipment>(
    `${SELECT} join unnest($1::text[], $2::int[]) as known (id, version) on s.id = known.id and s.version > known.version`,
    [known.map(({ id }) => id), known.map(({ version }) => version)],
  );
  return rows.map(rowOf);
}

/**
 * One shipment, locked until the transaction ends; to be locked before its depot. Two statements in one round trip: one
 * that waits for a lock would see the parcels as they were before its wait.
 */
export async function lockShipment(tx: Queryable, id: string): Promise<ShipmentRow | undefined> {
  const [, row] = await Promise.all([
    tx.query("select 1 from shipments where id = $1 for update", [id]),
    getShipment(tx, id),
  ]);
  return row;
}

/** The shipment of a parcel, locked as `lockShipment` does. */
export async function lockShipmentOf(tx: Queryable, parcelId: string): Promise<ShipmentRow | undefined> {
  const [, [row]] = await Promise.all([
    tx.query(`select 1 from shipments where id = (select shipment_id from parcels where id = $1) for update`, [
      parcelId,
    ]),
    tx.query<StoredShipment>(`${SELECT} where s.id = (select shipment_id from parcels where id = $1)`, [parcelId]),
  ]);
  return row === undefined ? undefined : rowOf(row);
}

/** Whose shipments, and which of them; all of them where nothing is said. */
export interface ShipmentFilter {
  readonly customerId: string | undefined;
  readonly orderId: string | undefined;
  readonly state: ShipmentState | undefined;
}

/** Shipments without scans, the newest first, from the one before `beforeId` on. */
export async function listShipments(
  db: Queryable,
  {
    customerId,
    orderId,
    state,
    beforeId,
    limit,
  }: ShipmentFilter & { readonly beforeId?: string; readonly limit: number },
): Promise<readonly ShipmentRow[]> {
  const rows = await db.query<StoredShipment>(
    `${SELECT_WITHOUT_SCANS}
     where ($1::text is null or s.customer_id = $1) and ($2::text is null or s.order_id = $2)
       and ($3::text is null or s.state = $3) and ($4::text is null or s.id < $4)
     order by s.id desc limit $5`,
    [customerId, orderId, state, beforeId, limit],
  );
  return rows.map(rowOf);
}

/** A parcel in the list of a depot. */
export interface DepotParcel {
  readonly shipmentId: string;
  readonly parcel: Parcel;
  /** When the tour leaves by which it stands in this depot's list. */
  readonly departTime: Date;
  readonly promisedTime: Date;
}

/** The parcels of a depot without scans, in the order in which their tours leave, from the one after `after` on. */
export async function listParcels(
  db: Queryable,
  page: {
    readonly depot: string;
    readonly state: ParcelState | undefined;
    /** Those that are not where they end, or those that are. */
    readonly open: boolean;
    readonly after: { readonly departTime: Date; readonly parcelId: string } | undefined;
    readonly limit: number;
  },
): Promise<readonly DepotParcel[]> {
  interface Row {
    readonly shipmentId: string;
    readonly parcel: ParcelJson;
    readonly departTime: Date;
    readonly promisedTime: Date;
  }
  const rows = await db.query<Row>(
    `select p.shipment_id as "shipmentId", l.depart_time as "departTime", s.promised_time as "promisedTime",
       ${PARCEL} as parcel
     from parcel_legs l join parcels p on p.id = l.parcel_id join shipments s on s.id = p.shipment_id
     where l.depot = $1 and l.open = $2 and ($3::text is null or p.state = $3)
       and ($4::timestamptz is null or (l.depart_time, l.parcel_id) > ($4, $5))
     order by l.depart_time, l.parcel_id limit $6`,
    [page.depot, page.open, page.state, page.after?.departTime, page.after?.parcelId, page.limit],
  );
  return rows.map(({ parcel, ...row }) => ({ ...row, parcel: parcelOf(parcel) }));
}

/** One shipment, locked as `lockShipment` does; undefined when somebody else holds it. */
export async function lockShipmentUnlessTaken(tx: Queryable, id: string): Promise<ShipmentRow | undefined> {
  const [locked, row] = await Promise.all([
    tx.query("select 1 from shipments where id = $1 for update skip locked", [id]),
    getShipment(tx, id),
  ]);
  return locked.length === 0 ? undefined : row;
}
