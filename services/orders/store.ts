import type { Queryable } from "#mesh/postgres/index.ts";
import type { Order, StuckOrder } from "./domain-order.ts";
import { newSaga, type OrderState } from "./domain-saga.ts";
import { type OrderRow, orderColumns, withHistory, withLines } from "./store-rows.ts";

/** An order that is about to be placed. */
export interface NewOrder
  extends Pick<
    Order,
    | "id"
    | "customerId"
    | "cartId"
    | "lines"
    | "currencyCode"
    | "subtotal"
    | "total"
    | "email"
    | "address"
    | "shippingOption"
    | "rateId"
  > {
  readonly requestId: string;
  readonly requestHash: Uint8Array;
}

/**
 * Writes the order with its lines and the first entry of its history, leased to the caller for `leaseMs`; or nothing,
 * when the customer's request_id has an order already: undefined. Of copies at the same time exactly one writes.
 */
export async function insertOrder(db: Queryable, order: NewOrder, leaseMs: number): Promise<Order | undefined> {
  const { shippingOption, lines } = order;
  const saga = newSaga({ total: order.total, delivers: order.rateId !== "" });
  const [row] = await db.query<{ readonly time: Date }>(insertOrderText, [
    order.id,
    order.customerId,
    order.requestId,
    order.requestHash,
    order.cartId,
    saga.state,
    saga.step,
    saga.holds,
    leaseMs,
    order.currencyCode,
    order.subtotal,
    shippingOption.price.minorUnits,
    order.total,
    order.email,
    JSON.stringify(order.address),
    shippingOption.id,
    shippingOption.title,
    shippingOption.minDays,
    shippingOption.maxDays,
    order.rateId,
    lines.map(({ sku }) => sku),
    lines.map(({ title }) => title),
    lines.map(({ quantity }) => quantity),
    lines.map(({ unitPrice }) => unitPrice),
    lines.map(({ lineTotal }) => lineTotal),
    lines.map(({ packed }) => packed.weightGrams),
    lines.map(({ packed }) => packed.lengthMm),
    lines.map(({ packed }) => packed.widthMm),
    lines.map(({ packed }) => packed.heightMm),
    PLACED_NOTE,
  ]);
  if (row === undefined) return undefined;
  const { requestId: _id, requestHash: _hash, ...rest } = order;
  return {
    ...rest,
    ...saga,
    history: [{ seq: 1, time: row.time, state: saga.state, actor: order.customerId, note: PLACED_NOTE }],
    createTime: row.time,
    updateTime: row.time,
    version: 1,
    fence: 1n,
    attempts: 0,
  };
}

const PLACED_NOTE = "placed";

const insertOrderText = `
  with placed as (
    insert into orders (
      id, customer_id, request_id, request_hash, cart_id, state, step, holds, lease_until, next_attempt_time, version,
      currency_code, subtotal, shipping_price, total, email, address,
      shipping_option_id, shipping_option_title, shipping_min_days, shipping_max_days, rate_id)
    values (
      $1, $2, $3, $4, $5, $6, $7, $8, now() + $9::int * interval '1 millisecond', now(), 1,
      $10, $11, $12, $13, $14, $15,
      $16, $17, $18, $19, $20)
    on conflict (customer_id, request_id) do nothing
    returning id, customer_id, state, step, create_time
  ), lines as (
    insert into order_lines (
      order_id, position, sku, title, quantity, unit_price, line_total,
      weight_grams, length_mm, width_mm, height_mm)
    select
      placed.id, line.position, line.sku, line.title, line.quantity, line.unit_price, line.line_total,
      line.weight_grams, line.length_mm, line.width_mm, line.height_mm
    from placed, unnest(
      $21::text[], $22::text[], $23::bigint[], $24::bigint[], $25::bigint[],
      $26::int[], $27::int[], $28::int[], $29::int[])
      with ordinality as line (
        sku, title, quantity, unit_price, line_total, weight_grams, length_mm, width_mm, height_mm, position)
  )
  insert into order_events (order_id, seq, time, state, step, actor, note)
  select id, 1, create_time, state, step, customer_id, $30 from placed
  returning time`;

/** The order that a request_id of this customer made, with the hash of that request. */
export async function findByRequest(
  db: Queryable,
  key: { readonly customerId: string; readonly requestId: string },
): Promise<{ readonly id: string; readonly requestHash: Uint8Array } | undefined> {
  const [row] = await db.query<{ readonly id: string; readonly request_hash: Uint8Array }>(
    "select id, request_hash from orders where customer_id = $1 and request_id = $2",
    [key.customerId, key.requestId],
  );
  return row === undefined ? undefined : { id: row.id, requestHash: row.request_hash };
}

/** One order with its history. */
export async function getOrder(db: Queryable, id: string): Promise<Order | undefined> {
  const rows = await db.query<OrderRow>(`select ${orderColumns} from orders where id = $1`, [id]);
  const [order] = await withHistory(db, rows);
  return order;
}

/** The same, and nobody else changes it before the transaction ends. */
export async function lockOrder(tx: Queryable, id: string): Promise<Order | undefined> {
  const rows = await tx.query<OrderRow>(`select ${orderColumns} from orders where id = $1 for no key update`, [id]);
  const [order] = await withHistory(tx, rows);
  return order;
}

/** These orders, in the same way. They are locked in the order of their ids, so that nobody waits in a circle. */
export async function lockOrders(tx: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, Order>> {
  if (ids.length === 0) return new Map();
  const rows = await tx.query<OrderRow>(
    `select ${orderColumns} from orders where id = any($1) order by id for no key update`,
    [ids],
  );
  return new Map((await withHistory(tx, rows)).map((order) => [order.id, order]));
}

/** Those of these orders that have changed since the version that is known of them. */
export async function getChangedOrders(
  db: Queryable,
  known: readonly { readonly id: string; readonly version: number }[],
): Promise<readonly Order[]> {
  const rows = await db.query<OrderRow>(
    `select ${orderColumns}
     from orders join unnest($1::text[], $2::int[]) as known (known_id, known_version) on id = known_id
     where version > known_version`,
    [known.map(({ id }) => id), known.map(({ version }) => version)],
  );
  return withHistory(db, rows);
}

/** Sorts after every id. */
const AFTER_ALL_IDS = "~";

/** A customer's orders without their histories, the newest first: those older than `beforeId`, when given. */
export async function listOrders(
  db: Queryable,
  options: {
    readonly customerId: string;
    readonly state: OrderState | undefined;
    readonly beforeId: string | undefined;
    readonly limit: number;
  },
): Promise<readonly Order[]> {
  const rows = await db.query<OrderRow>(
    `select ${orderColumns} from orders
     where customer_id = $1 and id < $2 and ($3::text is null or state = $3)
     order by id desc limit $4`,
    [options.customerId, options.beforeId ?? AFTER_ALL_IDS, options.state, options.limit],
  );
  return withLines(db, rows);
}

/** Where a page of stuck orders ends. */
export interface StuckPosition {
  /** In epoch milliseconds. */
  readonly stuckTime: number;
  readonly id: string;
}

/** Orders that failed at least `minAttempts` times in their present step, the longest waiting first. */
export async function listStuckOrders(
  db: Queryable,
  options: { readonly minAttempts: number; readonly after: StuckPosition | undefined; readonly limit: number },
): Promise<readonly StuckOrder[]> {
  const { after = { stuckTime: 0, id: "" } } = options;
  const rows = await db.query<StuckRow>(
    `select ${orderColumns}, last_error, step_time, backoff_ms from orders
     where step <> 'done' and attempts >= $1
       and (step_time, id) > (to_timestamp($2::float8 / 1000)::timestamptz(3), $3)
     order by step_time, id limit $4`,
    [options.minAttempts, after.stuckTime, after.id, options.limit],
  );
  const orders = await withLines(db, rows);
  return orders.flatMap((order, i) => {
    const row = rows[i];
    if (row === undefined) return [];
    return [{ order, lastError: row.last_error, stuckTime: row.step_time, backoffMs: row.backoff_ms }];
  });
}

interface StuckRow extends OrderRow {
  readonly last_error: string;
  readonly step_time: Date;
  readonly backoff_ms: number;
}
