import type { Queryable } from "#mesh/postgres/database.ts";
import type { StockLevel } from "./domain.ts";

export interface StockRow extends StockLevel {
  readonly updateTime: Date;
  /** Counts its changes, from 1 on. */
  readonly version: number;
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

/** Of `$1`, a list of SKUs. */
export const GET_STOCK = `select sku, on_hand as "onHand", reserved, update_time as "updateTime",
    version::float8 as version
  from stock where sku = any($1)`;

/** The stock of those SKUs that are known, in no order. */
export async function getStock(db: Queryable, skus: readonly string[]): Promise<readonly StockRow[]> {
  return db.query<StockRow>(GET_STOCK, [skus]);
}

/** Those of these stocks that have changed since the version that is known of them; each has the SKU for its id. */
export async function getChangedStock(
  db: Queryable,
  known: readonly { readonly id: string; readonly version: number }[],
): Promise<readonly StockRow[]> {
  return db.query<StockRow>(
    `select sku, on_hand as "onHand", reserved, update_time as "updateTime", version::float8 as version
     from stock join unnest($1::text[], $2::bigint[]) as known (known_sku, known_version) on sku = known_sku
     where version > known_version`,
    [known.map(({ id }) => id), known.map(({ version }) => version)],
  );
}

/** The same as getStock, locked until the transaction ends. Always in the order of the SKUs, so that two holders never cross. */
export async function lockStock(tx: Queryable, skus: readonly string[]): Promise<ReadonlyMap<string, StockRow>> {
  const rows = await tx.query<StockRow>(
    `select sku, on_hand as "onHand", reserved, update_time as "updateTime", version::float8 as version
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
