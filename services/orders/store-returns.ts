import type { Queryable } from "#mesh/postgres/index.ts";
import type { Order } from "./domain-order.ts";
import type { OrderReturn, ReturnState } from "./domain-returns.ts";
import type { Due } from "./domain-saga.ts";
import { lockOrder } from "./store.ts";
import { getReturnLines } from "./store-rows.ts";

/** Who asked for something under which request_id: together they name it for ever. */
export interface RequestKey {
  readonly requestedBy: string;
  readonly requestId: string;
}

/**
 * Writes a return that is announced, with its lines, and counts its units as announced. The transaction has locked the
 * order, and moves it on.
 */
export async function insertReturn(
  tx: Queryable,
  order: Pick<Order, "id" | "customerId" | "currencyCode">,
  announced: Pick<OrderReturn, "id" | "lines" | "refund" | "note"> & RequestKey,
): Promise<OrderReturn> {
  const { id, lines, refund, note, requestedBy, requestId } = announced;
  const { id: orderId, customerId } = order;
  const [row] = await tx.query<{ readonly time: Date }>(
    `with announced as (
       insert into order_returns
         (id, order_id, customer_id, state, refund, currency_code, note, requested_by, request_id)
       values ($1, $2, $3, 'REQUESTED', $4, $5, $6, $7, $8)
       returning create_time
     ), lines as (
       insert into order_return_lines (return_id, position, sku, quantity)
       select $1, position, sku, quantity
       from unnest($9::text[], $10::bigint[]) with ordinality as line (sku, quantity, position)
       returning sku, quantity
     ), counted as (
       update order_lines set announced_quantity = announced_quantity + lines.quantity
       from lines where order_id = $2 and order_lines.sku = lines.sku
     )
     select create_time as time from announced`,
    [
      id,
      orderId,
      customerId,
      refund.minorUnits,
      refund.currencyCode,
      note,
      requestedBy,
      requestId,
      lines.map(({ sku }) => sku),
      lines.map(({ quantity }) => quantity),
    ],
  );
  if (row === undefined) throw new Error(`The return ${id} was not written.`);
  const { time } = row;
  const times = { createTime: time, updateTime: time };
  return { id, orderId, customerId, state: "REQUESTED", lines, refund, note, shipmentId: "", ...times };
}

/**
 * Books that the goods of a return are here, counts its units as returned, and makes its refund due. The transaction has
 * locked the order, has seen that the return is REQUESTED, and moves the order on. Returns when that is.
 */
export async function receiveReturn(
  tx: Queryable,
  { id, orderId, refund }: Pick<OrderReturn, "id" | "orderId" | "refund">,
  seq: number,
): Promise<Date> {
  const [row] = await tx.query<{ readonly time: Date }>(
    `with received as (
       update order_returns set state = 'RECEIVED', update_time = now() where id = $1 and state = 'REQUESTED'
       returning id, update_time
     ), counted as (
       update order_lines set
         announced_quantity = announced_quantity - line.quantity,
         returned_quantity = returned_quantity + line.quantity
       from received join order_return_lines as line on line.return_id = received.id
       where order_lines.order_id = $2 and order_lines.sku = line.sku
     ), due as (
       insert into order_dues (order_id, seq, return_id, amount) select $2, $3::int, id, $4::bigint from received
     )
     select update_time as time from received`,
    [id, orderId, seq, refund.minorUnits],
  );
  if (row === undefined) throw new Error(`The return ${id} is not REQUESTED though its order is locked.`);
  return row.time;
}

/**
 * Books that the goods of a return will not come, and frees its units. The transaction has locked the order, has seen that
 * the return is REQUESTED, and moves the order on. Returns when that is.
 */
export async function cancelReturn(tx: Queryable, { id, orderId }: Pick<OrderReturn, "id" | "orderId">): Promise<Date> {
  const [row] = await tx.query<{ readonly time: Date }>(
    `with cancelled as (
       update order_returns set state = 'CANCELLED', update_time = now() where id = $1 and state = 'REQUESTED'
       returning id, update_time
     ), counted as (
       update order_lines set announced_quantity = announced_quantity - line.quantity
       from cancelled join order_return_lines as line on line.return_id = cancelled.id
       where order_lines.order_id = $2 and order_lines.sku = line.sku
     )
     select update_time as time from cancelled`,
    [id, orderId],
  );
  if (row === undefined) throw new Error(`The return ${id} is not REQUESTED though its order is locked.`);
  return row.time;
}

/** Notes which shipment brings a return back. */
export async function setReturnShipment(db: Queryable, returnId: string, shipmentId: string): Promise<void> {
  await db.query("update order_returns set shipment_id = $2 where id = $1", [returnId, shipmentId]);
}

/** Makes money due for which no goods come back. The transaction has locked the order, and moves it on. */
export async function insertDue(
  tx: Queryable,
  orderId: string,
  { seq, amount, requestedBy, requestId }: Pick<Due, "seq" | "amount"> & RequestKey,
): Promise<void> {
  await tx.query(
    "insert into order_dues (order_id, seq, amount, requested_by, request_id) values ($1, $2, $3, $4, $5)",
    [orderId, seq, amount, requestedBy, requestId],
  );
}

/** The money that this request made due. */
export async function findDueByRequest(
  db: Queryable,
  { requestedBy, requestId }: RequestKey,
): Promise<{ readonly orderId: string; readonly amount: bigint } | undefined> {
  const [row] = await db.query<{ readonly order_id: string; readonly amount: bigint }>(
    "select order_id, amount from order_dues where requested_by = $1 and request_id = $2",
    [requestedBy, requestId],
  );
  return row === undefined ? undefined : { orderId: row.order_id, amount: row.amount };
}

/** The return that this request announced. */
export async function findReturnByRequest(
  db: Queryable,
  { requestedBy, requestId }: RequestKey,
): Promise<OrderReturn | undefined> {
  const [found] = await select(db, "requested_by = $1 and request_id = $2", [requestedBy, requestId]);
  return found;
}

/** One return. */
export async function getReturn(db: Queryable, id: string): Promise<OrderReturn | undefined> {
  const [found] = await select(db, "id = $1", [id]);
  return found;
}

/** One return with its order, which nobody else changes before the transaction ends. */
export async function lockReturn(
  tx: Queryable,
  id: string,
): Promise<{ readonly goods: OrderReturn; readonly order: Order } | undefined> {
  const found = await getReturn(tx, id);
  const order = found && (await lockOrder(tx, found.orderId));
  // Again, as it is under the lock of its order.
  const goods = order && (await getReturn(tx, id));
  return order && goods && { goods, order };
}

/** Sorts after every id. */
const AFTER_ALL_IDS = "~";

/** Returns, the newest first: those older than `beforeId`, and of this order, customer and state, when given. */
export async function listReturns(
  db: Queryable,
  options: {
    readonly orderId: string | undefined;
    readonly customerId: string | undefined;
    readonly state: ReturnState | undefined;
    readonly beforeId: string | undefined;
    readonly limit: number;
  },
): Promise<readonly OrderReturn[]> {
  const { orderId, customerId, state, beforeId = AFTER_ALL_IDS, limit } = options;
  // A text for each set of filters, so that each is read by its index.
  const filters = Object.entries({ order_id: orderId, customer_id: customerId, state }).filter(([, value]) => value);
  const where = ["id < $1", ...filters.map(([column], i) => `${column} = $${i + 3}`)].join(" and ");
  return select(db, `${where} order by id desc limit $2`, [beforeId, limit, ...filters.map(([, value]) => value)]);
}

interface ReturnRow {
  readonly id: string;
  readonly order_id: string;
  readonly customer_id: string;
  readonly state: ReturnState;
  readonly refund: bigint;
  readonly currency_code: string;
  readonly note: string;
  readonly shipment_id: string;
  readonly create_time: Date;
  readonly update_time: Date;
}

async function select(db: Queryable, where: string, values: readonly unknown[]): Promise<readonly OrderReturn[]> {
  const rows = await db.query<ReturnRow>(
    `select id, order_id, customer_id, state, refund, currency_code, note, shipment_id, create_time, update_time
     from order_returns where ${where}`,
    values,
  );
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const lines = await getReturnLines(db, ids);
  return rows.map((row) => ({
    id: row.id,
    orderId: row.order_id,
    customerId: row.customer_id,
    state: row.state,
    lines: lines.get(row.id) ?? [],
    refund: { currencyCode: row.currency_code, minorUnits: row.refund },
    note: row.note,
    shipmentId: row.shipment_id,
    createTime: row.create_time,
    updateTime: row.update_time,
  }));
}
