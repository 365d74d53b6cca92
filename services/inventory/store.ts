import type { Queryable } from "#mesh/postgres/database.ts";
import type { ReservationLine, ReservationState, StockLevel } from "./domain.ts";

export interface StockRow extends StockLevel {
  readonly updateTime: Date;
}

export interface ReservationRow {
  readonly id: string;
  readonly reference: string;
  readonly state: ReservationState;
  readonly lines: readonly ReservationLine[];
  readonly expireTime: Date;
  readonly createTime: Date;
  readonly updateTime: Date;
}

export type MovementKind = "ADJUSTED" | "RESERVED" | "COMMITTED" | "RELEASED" | "EXPIRED" | "RESTOCKED";

export interface MovementRow {
  readonly id: string;
  readonly sku: string;
  readonly kind: MovementKind;
  readonly onHandDelta: bigint;
  readonly reservedDelta: bigint;
  readonly reference: string;
  readonly createTime: Date;
}

/** The stock of those SKUs that are known, in no order. */
export async function getStock(db: Queryable, skus: readonly string[]): Promise<readonly StockRow[]> {
  return db.query<StockRow>(
    `select sku, on_hand as "onHand", reserved, update_time as "updateTime" from stock where sku = any($1)`,
    [skus],
  );
}

/** The same, locked until the transaction ends. Always in the order of the SKUs, so that two holders never cross. */
export async function lockStock(tx: Queryable, skus: readonly string[]): Promise<ReadonlyMap<string, StockRow>> {
  const rows = await tx.query<StockRow>(
    `select sku, on_hand as "onHand", reserved, update_time as "updateTime"
     from stock where sku = any($1) order by sku for update`,
    [skus],
  );
  return new Map(rows.map((row) => [row.sku, row]));
}

/** Makes the SKU known, with nothing in stock, unless it is. */
export async function ensureStock(tx: Queryable, sku: string, now: Date): Promise<void> {
  await tx.query(`insert into stock (sku, update_time) values ($1, $2) on conflict (sku) do nothing`, [sku, now]);
}

/** Changes the units on hand and books the movement. The row must be locked. */
export async function adjustStock(
  tx: Queryable,
  change: {
    readonly sku: string;
    readonly delta: bigint;
    readonly note: string;
    readonly movementId: string;
    readonly now: Date;
  },
): Promise<void> {
  await tx.query(
    `with moved as (
       insert into movements (id, sku, kind, on_hand_delta, reserved_delta, reference, create_time)
       values ($4, $1, 'ADJUSTED', $2, 0, $3, $5)
     )
     update stock set on_hand = on_hand + $2, update_time = $5 where sku = $1`,
    [change.sku, change.delta, change.note, change.movementId, change.now],
  );
}

/** Writes a reservation, holds its units, and books the movements: one statement. The stock must be locked. */
export async function insertReservation(
  tx: Queryable,
  reservation: ReservationRow,
  movementIds: readonly string[],
): Promise<void> {
  const { id, reference, lines, expireTime, createTime } = reservation;
  await tx.query(
    `with line as (
       select * from unnest($5::text[], $6::bigint[], $7::text[]) with ordinality as l (sku, quantity, movement_id, position)
     ), held as (
       insert into reservations (id, reference, state, expire_time, create_time, update_time)
       values ($1, $2, 'ACTIVE', $3, $4, $4)
       returning id
     ), lined as (
       insert into reservation_lines (reservation_id, position, sku, quantity)
       select held.id, line.position, line.sku, line.quantity from held, line
     ), moved as (
       insert into movements (id, sku, kind, on_hand_delta, reserved_delta, reference, create_time)
       select line.movement_id, line.sku, 'RESERVED', 0, line.quantity, held.id, $4 from held, line
     )
     update stock set reserved = reserved + line.quantity, update_time = $4 from line where stock.sku = line.sku`,
    [
      id,
      reference,
      expireTime,
      createTime,
      lines.map((line) => line.sku),
      lines.map((line) => line.quantity),
      movementIds,
    ],
  );
}

interface StoredReservation extends Omit<ReservationRow, "lines"> {
  readonly skus: readonly string[];
  readonly quantities: readonly bigint[];
  readonly restockedQuantities: readonly bigint[];
}

const GET_RESERVATION = `
  select r.id, r.reference, r.state, r.expire_time as "expireTime", r.create_time as "createTime",
    r.update_time as "updateTime", lines.*
  from reservations r cross join lateral (
    select array_agg(l.sku order by l.position) as skus,
      array_agg(l.quantity order by l.position) as quantities,
      array_agg(l.restocked_quantity order by l.position) as "restockedQuantities"
    from reservation_lines l where l.reservation_id = r.id
  ) lines
  where r.id = $1`;

/** One reservation. */
export async function getReservation(db: Queryable, id: string): Promise<ReservationRow | undefined> {
  const [row] = await db.query<StoredReservation>(GET_RESERVATION, [id]);
  if (row === undefined) return undefined;
  const { skus, quantities, restockedQuantities, ...rest } = row;
  const lines = skus.map((sku, at) => ({
    sku,
    quantity: quantities[at] ?? 0n,
    restockedQuantity: restockedQuantities[at] ?? 0n,
  }));
  return { ...rest, lines };
}

/**
 * One reservation, locked until the transaction ends. To be locked before any stock. Two statements in one round trip:
 * one that waits for a lock would see the lines as they were before its wait.
 */
export async function lockReservation(tx: Queryable, id: string): Promise<ReservationRow | undefined> {
  const [, row] = await Promise.all([
    tx.query("select 1 from reservations where id = $1 for update", [id]),
    getReservation(tx, id),
  ]);
  return row;
}

/** Ends an active, locked reservation: its units leave the stock for good, or go back; and books the movements. */
export async function settleReservation(
  tx: Queryable,
  settlement: {
    readonly reservation: ReservationRow;
    readonly to: Exclude<ReservationState, "ACTIVE">;
    readonly movementIds: readonly string[];
    readonly now: Date;
  },
): Promise<void> {
  const { reservation, to, movementIds, now } = settlement;
  await tx.query(
    `with line as (
       select sku, quantity, case when $2 = 'COMMITTED' then quantity else 0 end as sold, movement_id
       from unnest($3::text[], $4::bigint[], $5::text[]) as l (sku, quantity, movement_id)
     ), settled as (
       update reservations set state = $2, update_time = $6 where id = $1
     ), moved as (
       insert into movements (id, sku, kind, on_hand_delta, reserved_delta, reference, create_time)
       select movement_id, sku, $2, -sold, -quantity, $1, $6 from line
     ), locked as materialized (
       select sku from stock where sku = any($3) order by sku for update
     )
     update stock
     set on_hand = on_hand - line.sold, reserved = reserved - line.quantity, update_time = $6
     from line join locked using (sku)
     where stock.sku = line.sku`,
    [
      reservation.id,
      to,
      reservation.lines.map((line) => line.sku),
      reservation.lines.map((line) => line.quantity),
      movementIds,
      now,
    ],
  );
}

/** Active reservations whose time is up, the longest first; those that hold one of `skus` alone, where given. */
export async function listExpired(
  db: Queryable,
  options: {
    readonly now: Date;
    readonly limit: number;
    readonly skus?: readonly string[];
  },
): Promise<readonly string[]> {
  const rows = await db.query<{ readonly id: string }>(
    `select id from reservations r
     where state = 'ACTIVE' and expire_time <= $1
       and ($2::text[] is null or exists (
         select 1 from reservation_lines l where l.reservation_id = r.id and l.sku = any($2)))
     order by expire_time limit $3`,
    [options.now, options.skus, options.limit],
  );
  return rows.map((row) => row.id);
}

/** A SKU's movements, the newest first, from the one before `beforeId` on. */
export async function listMovements(
  db: Queryable,
  page: {
    readonly sku: string;
    readonly beforeId: string | undefined;
    readonly limit: number;
  },
): Promise<readonly MovementRow[]> {
  return db.query<MovementRow>(
    `select id, sku, kind, on_hand_delta as "onHandDelta", reserved_delta as "reservedDelta", reference,
       create_time as "createTime"
     from movements where sku = $1 and ($2::text is null or id < $2) order by id desc limit $3`,
    [page.sku, page.beforeId, page.limit],
  );
}
