import type { Queryable } from "#mesh/postgres/index.ts";
import type { Address, HistoryEntry, Order, OrderLine } from "./domain-order.ts";
import type { OrderState, Rejection, Step } from "./domain-saga.ts";

/** The columns of `orders` that make an `Order`. Part of the text of statements. */
export const orderColumns = `
  id, customer_id, cart_id, state, step, holds, reservation_id, payment_id, rejection_reason, rejection_message,
  rejection_metadata, fence, attempts, version, currency_code, subtotal, shipping_price, total, refunded, email,
  address, shipping_option_id, shipping_option_title, shipping_min_days, shipping_max_days, create_time, update_time`;

/** A row of `orders`, as `orderColumns` has it. */
export interface OrderRow {
  readonly id: string;
  readonly customer_id: string;
  readonly cart_id: string;
  readonly state: OrderState;
  readonly step: Step;
  readonly holds: number;
  readonly reservation_id: string | null;
  readonly payment_id: string | null;
  readonly rejection_reason: Rejection["reason"] | null;
  readonly rejection_message: string | null;
  readonly rejection_metadata: Readonly<Record<string, string>> | null;
  readonly fence: bigint;
  readonly attempts: number;
  readonly version: number;
  readonly currency_code: string;
  readonly subtotal: bigint;
  readonly shipping_price: bigint;
  readonly total: bigint;
  readonly refunded: bigint;
  readonly email: string;
  readonly address: Address;
  readonly shipping_option_id: string;
  readonly shipping_option_title: string;
  readonly shipping_min_days: number;
  readonly shipping_max_days: number;
  readonly create_time: Date;
  readonly update_time: Date;
}

interface LineRow {
  readonly order_id: string;
  readonly sku: string;
  readonly title: string;
  readonly quantity: bigint;
  readonly unit_price: bigint;
  readonly line_total: bigint;
  readonly returned_quantity: bigint;
}

interface EventRow {
  readonly order_id: string;
  readonly seq: number;
  readonly time: Date;
  readonly state: OrderState;
  readonly actor: string;
  readonly note: string;
}

/** The orders of these rows with their lines and their histories, in the order of the rows. Two statements. */
export async function withHistory(db: Queryable, rows: readonly OrderRow[]): Promise<readonly Order[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const [lines, events] = await Promise.all([getLines(db, ids), getEvents(db, ids)]);
  return rows.map((row) => {
    // Whatever came after the row was read is left out, so that the whole is of one moment.
    const history = (events.get(row.id) ?? []).filter(({ seq }) => seq <= row.version);
    return toOrder(row, lines.get(row.id) ?? [], history);
  });
}

/** The same without their histories. One statement. */
export async function withLines(db: Queryable, rows: readonly OrderRow[]): Promise<readonly Order[]> {
  if (rows.length === 0) return [];
  const lines = await getLines(
    db,
    rows.map(({ id }) => id),
  );
  return rows.map((row) => toOrder(row, lines.get(row.id) ?? [], []));
}

async function getLines(db: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, OrderLine[]>> {
  const rows = await db.query<LineRow>(
    `select order_id, sku, title, quantity, unit_price, line_total, returned_quantity
     from order_lines where order_id = any($1) order by order_id, position`,
    [ids],
  );
  return groupBy(rows, (row) => ({
    sku: row.sku,
    title: row.title,
    quantity: row.quantity,
    unitPrice: row.unit_price,
    lineTotal: row.line_total,
    returnedQuantity: row.returned_quantity,
  }));
}

async function getEvents(db: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, HistoryEntry[]>> {
  const rows = await db.query<EventRow>(
    `select order_id, seq, time, state, actor, note
     from order_events where order_id = any($1) order by order_id, seq`,
    [ids],
  );
  return groupBy(rows, ({ seq, time, state, actor, note }) => ({ seq, time, state, actor, note }));
}

function groupBy<Row extends { readonly order_id: string }, T>(
  rows: readonly Row[],
  map: (row: Row) => T,
): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(row.order_id) ?? [];
    group.push(map(row));
    groups.set(row.order_id, group);
  }
  return groups;
}

function toOrder(row: OrderRow, lines: readonly OrderLine[], history: readonly HistoryEntry[]): Order {
  return {
    id: row.id,
    customerId: row.customer_id,
    cartId: row.cart_id,
    state: row.state,
    step: row.step,
    holds: row.holds,
    reservationId: row.reservation_id ?? undefined,
    paymentId: row.payment_id ?? undefined,
    rejection: toRejection(row),
    refunded: row.refunded,
    lines,
    currencyCode: row.currency_code,
    subtotal: row.subtotal,
    total: row.total,
    email: row.email,
    address: row.address,
    shippingOption: {
      id: row.shipping_option_id,
      title: row.shipping_option_title,
      price: { currencyCode: row.currency_code, minorUnits: row.shipping_price },
      minDays: row.shipping_min_days,
      maxDays: row.shipping_max_days,
    },
    history,
    createTime: row.create_time,
    updateTime: row.update_time,
    version: row.version,
    fence: row.fence,
    attempts: row.attempts,
  };
}

function toRejection(row: OrderRow): Rejection | undefined {
  if (row.rejection_reason === null) return undefined;
  return {
    reason: row.rejection_reason,
    message: row.rejection_message ?? "",
    metadata: row.rejection_metadata ?? {},
  };
}
