import type { Queryable } from "#mesh/postgres/index.ts";
import type { Line } from "./domain.ts";

/** A cart's lines in the order they were added. Empty, and never changed, where nothing was ever put in. */
export interface CartRow {
  readonly lines: readonly Line[];
  readonly updateTime: Date | undefined;
}

interface LineRow {
  readonly updateTime: Date;
  /** null in the one row of a cart without lines. */
  readonly sku: string | null;
  readonly quantity: bigint | null;
}

/** A cart as it is now. One statement, so that lines and time go together. */
export async function readCart(db: Queryable, cartId: string): Promise<CartRow> {
  const rows = await db.query<LineRow>(
    `select c.update_time as "updateTime", l.sku, l.quantity
     from carts c left join cart_lines l on l.cart_id = c.id
     where c.id = $1 order by l.position`,
    [cartId],
  );
  return {
    lines: rows.flatMap(({ sku, quantity }) => (sku === null || quantity === null ? [] : [{ sku, quantity }])),
    updateTime: rows[0]?.updateTime,
  };
}

/** Makes the cart unless it is there, and locks it until the transaction ends. Of two carts, the lesser id first. */
export async function lockCart(
  tx: Queryable,
  cart: { readonly id: string; readonly ownerId: string; readonly now: Date },
): Promise<void> {
  await tx.query(
    `insert into carts (id, owner_id, create_time, update_time) values ($1, $2, $3, $3)
     on conflict (id) do update set update_time = excluded.update_time`,
    [cart.id, cart.ownerId, cart.now],
  );
}

/** The lines of a cart that is locked. */
export async function readLines(tx: Queryable, cartId: string): Promise<readonly Line[]> {
  return tx.query<Line>(`select sku, quantity from cart_lines where cart_id = $1 order by position`, [cartId]);
}

/** Gives lines their quantities; those that are new come last, in the order given. */
export async function writeLines(tx: Queryable, cartId: string, lines: readonly Line[]): Promise<void> {
  if (lines.length === 0) return;
  await tx.query(
    `insert into cart_lines (cart_id, sku, quantity)
     select $1, sku, quantity from unnest($2::text[], $3::bigint[]) with ordinality as l (sku, quantity, position)
     order by position
     on conflict (cart_id, sku) do update set quantity = excluded.quantity`,
    [cartId, lines.map((line) => line.sku), lines.map((line) => line.quantity)],
  );
}

/** Takes lines out, all of their units. */
export async function removeLines(tx: Queryable, cartId: string, skus: readonly string[]): Promise<void> {
  if (skus.length === 0) return;
  await tx.query(`delete from cart_lines where cart_id = $1 and sku = any($2)`, [cartId, skus]);
}

/** Takes every line out. */
export async function removeAllLines(tx: Queryable, cartId: string): Promise<void> {
  await tx.query(`delete from cart_lines where cart_id = $1`, [cartId]);
}
