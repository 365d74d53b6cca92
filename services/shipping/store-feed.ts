import type { Database, Queryable } from "#mesh/postgres/index.ts";
import type { Direction, ShipmentState } from "./domain-shipment.ts";

/** Where an event stands in the feed: its transaction, and its number. Both are whole numbers, as text. */
export interface FeedPosition {
  readonly xid: string;
  readonly seq: string;
}

/** Before the first event that ever was. */
export const FEED_START: FeedPosition = { xid: "0", seq: "0" };

export interface EventRow extends FeedPosition {
  readonly id: string;
  readonly shipmentId: string;
  readonly orderId: string;
  readonly returnId: string;
  readonly direction: Direction;
  readonly state: ShipmentState;
  readonly returnedSkus: readonly string[];
  readonly returnedQuantities: readonly bigint[];
  readonly eventTime: Date;
}

/**
 * The events after a position that no event can come before any more: those of transactions older than every one that is
 * still open. A long one, of whatever database on the server, holds the feed up; it loses nothing.
 */
export async function readEvents(db: Queryable, after: FeedPosition, limit: number): Promise<readonly EventRow[]> {
  return db.query<EventRow>(
    `select e.xid::text, e.seq::text, e.id, e.shipment_id as "shipmentId", s.order_id as "orderId",
       s.return_id as "returnId", s.direction, e.state, e.returned_skus as "returnedSkus",
       e.returned_quantities as "returnedQuantities", e.event_time as "eventTime"
     from shipment_events e join shipments s on s.id = e.shipment_id
     where (e.xid, e.seq) > ($1::xid8, $2::bigint) and e.xid < pg_snapshot_xmin(pg_current_snapshot())
     order by e.xid, e.seq limit $3`,
    [after.xid, after.seq, limit],
  );
}

/** Whether all events after a position are kept, and it is not one of the future, as of another database. */
export async function isInFeed(db: Queryable, { xid, seq }: FeedPosition): Promise<boolean> {
  const [row] = await db.query<{ readonly known: boolean }>(
    `select ($1::xid8, $2::bigint) >= (xid, seq) and $1::xid8 < pg_snapshot_xmax(pg_current_snapshot()) as known
     from shipment_events_swept`,
    [xid, seq],
  );
  return row?.known === true;
}

/** Removes the oldest events, of those before `olderThan`, at most `limit`, and notes up to where. Says how many. */
export async function sweepEvents(db: Database, olderThan: Date, limit: number): Promise<number> {
  const rows = await db.query<{ readonly count: number }>(
    `with swept as (select one_row from shipment_events_swept for update), oldest as (
       select xid, seq, event_time from shipment_events, swept
       where xid < pg_snapshot_xmin(pg_current_snapshot()) order by xid, seq limit $2
     ), gone as (
       delete from shipment_events e using oldest
       where (e.xid, e.seq) = (oldest.xid, oldest.seq) and oldest.event_time < $1
       returning e.xid, e.seq
     ), last as (
       select xid, seq from gone order by xid desc, seq desc limit 1
     ), noted as (
       update shipment_events_swept h set xid = last.xid, seq = last.seq from last
       where (last.xid, last.seq) > (h.xid, h.seq)
     )
     select count(*)::int as count from gone`,
    [olderThan, limit],
  );
  return rows[0]?.count ?? 0;
}
