import type { Queryable } from "#mesh/postgres/index.ts";
import type { Address, HistoryEntry, Order, OrderLine } from "./domain-order.ts";
import type { Due, OrderState, Rejection, ReturnedLine, Step } from "./domain-saga.ts";

/** The columns of `orders` that make an `Order`. Part of the text of statements. */
export const orderColumns = `
  id, customer_id, cart_id, state, step, holds, reservation_id, payment_id, rejection_reason, rejection_message,
  rejection_metadata, fence, attempts, version, currency_code, subtotal, shipping_price, total, refunded, promised,
  announced, withdrawn, dues, dues_settled, cart_cleared, email, address, shipping_option_id, shipping_option_title,
  shipping_min_days, shipping_max_days, rate_id, delivers, shipment_id, create_time, update_time`;

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
  readonly promised: bigint;
  readonly announced: number;
  readonly withdrawn: number;
  readonly dues: number;
  readonly dues_settled: number;
  readonly cart_cleared: boolean;
  readonly email: string;
  readonly address: Address;
  readonly shipping_option_id: string;
  readonly shipping_option_title: string;
  readonly shipping_min_days: number;
  readonly shipping_max_days: number;
  readonly rate_id: string;
  readonly delivers: boolean;
  readonly shipment_id: string | null;
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
  readonly weight_grams: number;
  readonly length_mm: number;
  readonly width_mm: number;
  readonly height_mm: number;
  readonly announced_quantity: bigint;
  readonly returned_quantity: bigint;
}

interface DueRow {
  readonly order_id: string;
  readonly seq: number;
  readonly return_id: string | null;
  readonly amount: bigint;
}

interface EventRow {
  readonly order_id: string;
  readonly seq: number;
  readonly time: Date;
  readonly state: OrderState;
  readonly actor: string;
  readonly note: string;
}

/** The orders of these rows with their lines and their histories, in the order of the rows. Two statements, and those of `getDue`. */
export async function withHistory(db: Queryable, rows: readonly OrderRow[]): Promise<readonly Order[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const [lines, events, due] = await Promise.all([getLines(db, ids), getEvents(db, ids), getDue(db, rows)]);
  return rows.map((row) => {
    // Whatever came after the row was read is left out, so that the whole is of one moment.
    const history = (events.get(row.id) ?? []).filter(({ seq }) => seq <= row.version);
    return toOrder(row, { lines: lines.get(row.id) ?? [], history, due: due.get(row.id) ?? [] });
  });
}

/** The same without their histories. */
export async function withLines(db: Queryable, rows: readonly OrderRow[]): Promise<readonly Order[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const [lines, due] = await Promise.all([getLines(db, ids), getDue(db, rows)]);
  return rows.map((row) => toOrder(row, { lines: lines.get(row.id) ?? [], history: [], due: due.get(row.id) ?? [] }));
}

async function getLines(db: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, readonly OrderLine[]>> {
  const rows = await db.query<LineRow>(
    `select order_id, sku, title, quantity, unit_price, line_total, weight_grams, length_mm, width_mm, height_mm,
       announced_quantity, returned_quantity
     from order_lines where order_id = any($1) order by order_id, position`,
    [ids],
  );
  return groupBy(rows, orderOf, (row) => ({
    sku: row.sku,
    title: row.title,
    quantity: row.quantity,
    unitPrice: row.unit_price,
    lineTotal: row.line_total,
    packed: {
      weightGrams: row.weight_grams,
      lengthMm: row.length_mm,
      widthMm: row.width_mm,
      heightMm: row.height_mm,
    },
    announcedQuantity: row.announced_quantity,
    returnedQuantity: row.returned_quantity,
  }));
}

async function getEvents(db: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, readonly HistoryEntry[]>> {
  const rows = await db.query<EventRow>(
    `select order_id, seq, time, state, actor, note
     from order_events where order_id = any($1) order by order_id, seq`,
    [ids],
  );
  return groupBy(rows, orderOf, ({ seq, time, state, actor, note }) => ({ seq, time, state, actor, note }));
}

/** What is due to the buyers of these orders: nothing is asked for when it is nothing, two statements otherwise. */
async function getDue(db: Queryable, orders: readonly OrderRow[]): Promise<ReadonlyMap<string, readonly Due[]>> {
  const open = orders.filter(({ dues, dues_settled }) => dues_settled < dues);
  if (open.length === 0) return new Map();
  // Entries never change, so these are those of the moment at which the rows were read.
  const rows = await db.query<DueRow>(
    `select order_id, seq, return_id, amount
     from order_dues join unnest($1::text[], $2::int[], $3::int[]) as open (id, settled, last)
       on order_id = id and seq > settled and seq <= last
     order by order_id, seq`,
    [open.map(({ id }) => id), open.map(({ dues_settled }) => dues_settled), open.map(({ dues }) => dues)],
  );
  const returnIds = rows.flatMap(({ return_id }) => return_id ?? []);
  const lines = returnIds.length === 0 ? undefined : await getReturnLines(db, returnIds);
  return groupBy(rows, orderOf, ({ seq, return_id, amount }) => {
    const returnId = return_id ?? undefined;
    return { seq, returnId, lines: lines?.get(returnId ?? "") ?? [], amount };
  });
}

/** The lines of these returns. */
export async function getReturnLines(
  db: Queryable,
  returnIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ReturnedLine[]>> {
  const rows = await db.query<{ readonly return_id: string; readonly sku: string; readonly quantity: bigint }>(
    "select return_id, sku, quantity from order_return_lines where return_id = any($1) order by return_id, position",
    [returnIds],
  );
  return groupBy(
    rows,
    ({ return_id }) => return_id,
    ({ sku, quantity }) => ({ sku, quantity }),
  );
}

function groupBy<Row, T>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  map: (row: Row) => T,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key) ?? [];
    group.push(map(row));
    groups.set(key, group);
  }
  return groups;
}

const orderOf = (row: { readonly order_id: string }): string => row.order_id;

function toOrder(row: OrderRow, parts: Pick<Order, "lines" | "history" | "due">): Order {
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
    promised: row.promised,
    announced: row.announced,
    withdrawn: row.withdrawn,
    dues: row.dues,
    cartCleared: row.cart_cleared,
    ...parts,
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
    rateId: row.rate_id,
    // Without a rate nothing can be booked.
    delivers: row.delivers && row.rate_id !== "",
    shipmentId: row.shipment_id ?? undefined,
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
