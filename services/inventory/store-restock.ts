import type { OwnTransaction, Queryable, RequestKey } from "#mesh/postgres/index.ts";
import type { HoldLine } from "./domain.ts";
import type { ReservationRow } from "./store-reservations.ts";

/** What a request that took units back left behind. */
export interface RestockRow {
  readonly requestSha256: Buffer;
  /** Of each line of its reservation, in their order, as it was after this one. */
  readonly restockedQuantities: readonly bigint[];
}

/** The restock that came of a request. */
export async function findRestock(db: Queryable, key: RequestKey): Promise<RestockRow | undefined> {
  const [row] = await db.query<RestockRow>(
    `select request_sha256 as "requestSha256", restocked_quantities as "restockedQuantities"
     from restocks where principal = $1 and request_id = $2`,
    [key.principal, key.requestId],
  );
  return row;
}

/**
 * Takes units of a locked reservation back into stock, books the movements, and keeps the request: one statement, sent
 * with the commit. `reservation` is as it is after this. Violates `restocks_pkey`.
 */
export function restock(
  tx: OwnTransaction,
  change: {
    readonly reservation: ReservationRow;
    readonly back: readonly HoldLine[];
    readonly movementIds: readonly string[];
    readonly key: RequestKey;
    readonly now: Date;
  },
): void {
  const { reservation, back, movementIds, key, now } = change;
  tx.last(
    `with line as (
       select * from unnest($2::text[], $3::bigint[], $4::text[]) as l (sku, quantity, movement_id)
     ), kept as (
       insert into restocks (principal, request_id, request_sha256, reservation_id, restocked_quantities, create_time)
       values ($6, $7, $8, $1, $9, $5)
     ), returned as (
       update reservation_lines l set restocked_quantity = l.restocked_quantity + line.quantity
       from line where l.reservation_id = $1 and l.sku = line.sku
     ), moved as (
       insert into movements (id, sku, kind, on_hand_delta, reserved_delta, reference, create_time)
       select movement_id, sku, 'RESTOCKED', quantity, 0, $1, $5 from line
     ), locked as materialized (
       select sku from stock where sku = any($2) order by sku for update
     )
     update stock set on_hand = on_hand + line.quantity, update_time = $5
     from line join locked using (sku) where stock.sku = line.sku`,
    [
      reservation.id,
      back.map((line) => line.sku),
      back.map((line) => line.quantity),
      movementIds,
      now,
      key.principal,
      key.requestId,
      key.requestSha256,
      reservation.lines.map((line) => line.restockedQuantity),
    ],
  );
}
