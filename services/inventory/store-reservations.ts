import type { Opened, OwnTransaction, Queryable, RequestKey, TransactionOptions } from "#mesh/postgres/index.ts";
import type { HoldError, ReservationLine, ReservationState } from "./domain.ts";
import { GET_STOCK, type StockRow } from "./store.ts";

export interface ReservationRow {
  readonly id: string;
  readonly reference: string;
  readonly state: ReservationState;
  readonly lines: readonly ReservationLine[];
  readonly expireTime: Date;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/**
 * Writes a reservation with the request that makes it, holds its units, and books the movements: one statement, sent
 * with the commit. The stock must be locked. Violates `reservations_by_request`.
 */
export function insertReservation(
  tx: OwnTransaction,
  reservation: ReservationRow,
  { key, movementIds }: { readonly key: RequestKey; readonly movementIds: readonly string[] },
): void {
  const { id, reference, lines, expireTime, createTime } = reservation;
  tx.last(
    `with line as (
       select * from unnest($5::text[], $6::bigint[], $7::text[]) with ordinality as l (sku, quantity, movement_id, position)
     ), held as (
       insert into reservations (id, reference, state, expire_time, create_time, update_time, principal, request_id,
         request_sha256)
       values ($1, $2, 'ACTIVE', $3, $4, $4, $8, $9, $10)
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
      key.principal,
      key.requestId,
      key.requestSha256,
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

/** A request that made a reservation, and which that is; or that was refused, and why. */
export interface Made {
  readonly id: string;
  readonly requestSha256: Buffer;
  readonly unknownSku: string | null;
  readonly skus: readonly string[] | null;
  readonly available: readonly bigint[] | null;
}

const FIND_MADE = `
  select id, request_sha256 as "requestSha256", unknown_sku as "unknownSku", short_skus as skus, available
  from reservations where principal = $1 and request_id = $2`;

/** What a request made. */
export async function findMade(db: Queryable, key: RequestKey): Promise<Made | undefined> {
  const [row] = await db.query<Made>(FIND_MADE, [key.principal, key.requestId]);
  return row;
}

/** Why a request was refused; undefined when it was not. */
export function refusalOf({ unknownSku, skus, available }: Made): HoldError | undefined {
  if (unknownSku !== null) return { kind: "unknown_sku", sku: unknownSku };
  if (skus === null) return undefined;
  return { kind: "out_of_stock", shortages: skus.map((sku, at) => ({ sku, available: available?.[at] ?? 0n })) };
}

/** Notes that a request was refused, with the commit. Violates `reservations_by_request`. */
export function insertRefusal(
  tx: OwnTransaction,
  { id, reference, expireTime, createTime }: Pick<ReservationRow, "id" | "reference" | "expireTime" | "createTime">,
  { key, refusal }: { readonly key: RequestKey; readonly refusal: HoldError },
): void {
  const shortages = refusal.kind === "out_of_stock" ? refusal.shortages : undefined;
  tx.last(
    `insert into reservations (id, reference, state, expire_time, create_time, update_time, principal, request_id,
       request_sha256, unknown_sku, short_skus, available)
     values ($1, $2, 'REFUSED', $3, $4, $4, $5, $6, $7, $8, $9, $10)`,
    [
      id,
      reference,
      expireTime,
      createTime,
      key.principal,
      key.requestId,
      key.requestSha256,
      refusal.kind === "unknown_sku" ? refusal.sku : undefined,
      shortages?.map(({ sku }) => sku),
      shortages?.map(({ available }) => available),
    ],
  );
}

/**
 * What can be seen before any lock, in the round trip in which a transaction begins: who holds these SKUs beyond their
 * time, the stock, and what the request made before. In this order: what is given back meanwhile is in the stock, and a
 * copy that finds nothing left, as the first one took it, finds the first one, too.
 */
export function previewStatements({
  skus,
  key,
  now,
}: {
  readonly skus: readonly string[];
  readonly key: RequestKey;
  readonly now: Date;
}): TransactionOptions["opening"] {
  return [
    { text: LIST_EXPIRED, values: [now, skus, 1] },
    { text: GET_STOCK, values: [skus] },
    { text: FIND_MADE, values: [key.principal, key.requestId] },
  ];
}

/** Reads the rows of `previewStatements`. */
export function readPreview([expired = [], stock = [], made = []]: Opened): {
  readonly levels: ReadonlyMap<string, StockRow>;
  readonly made: Made | undefined;
  readonly expired: readonly string[];
} {
  // The rows of the opening statements come in their order.
  const rows = stock as readonly StockRow[];
  return {
    levels: new Map(rows.map((row) => [row.sku, row])),
    made: made[0] as Made | undefined,
    expired: (expired as readonly { readonly id: string }[]).map(({ id }) => id),
  };
}

/** The id of the reservation that a request ended in this way. */
export async function findSettled(
  db: Queryable,
  key: RequestKey,
  to: "COMMITTED" | "RELEASED",
): Promise<string | undefined> {
  const [row] = await db.query<{ readonly id: string }>(
    "select id from reservations where settle_principal = $1 and state = $2 and settle_request_id = $3",
    [key.principal, to, key.requestId],
  );
  return row?.id;
}

/**
 * Ends an active, locked reservation: its units leave the stock for good, or go back; keeps the request that ended it,
 * where there was one; and books the movements. One statement, sent with the commit. Violates
 * `reservations_by_settle_request`.
 */
export function settleReservation(
  tx: OwnTransaction,
  settlement: {
    readonly reservation: ReservationRow;
    readonly to: Exclude<ReservationState, "ACTIVE">;
    readonly key: RequestKey | undefined;
    readonly movementIds: readonly string[];
    readonly now: Date;
  },
): void {
  const { reservation, to, key, movementIds, now } = settlement;
  tx.last(
    `with line as (
       select sku, quantity, case when $2 = 'COMMITTED' then quantity else 0 end as sold, movement_id
       from unnest($3::text[], $4::bigint[], $5::text[]) as l (sku, quantity, movement_id)
     ), settled as (
       update reservations set state = $2, update_time = $6, settle_principal = $7, settle_request_id = $8
       where id = $1
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
      key?.principal,
      key?.requestId,
    ],
  );
}

const LIST_EXPIRED = `select id from reservations r
  where state = 'ACTIVE' and expire_time <= $1
    and ($2::text[] is null or exists (
      select 1 from reservation_lines l where l.reservation_id = r.id and l.sku = any($2)))
  order by expire_time limit $3`;

/** Active reservations whose time is up, the longest first; those that hold one of `skus` alone, where given. */
export async function listExpired(
  db: Queryable,
  options: {
    readonly now: Date;
    readonly limit: number;
    readonly skus?: readonly string[];
  },
): Promise<readonly string[]> {
  const rows = await db.query<{ readonly id: string }>(LIST_EXPIRED, [options.now, options.skus, options.limit]);
  return rows.map((row) => row.id);
}
