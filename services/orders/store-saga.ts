import type { Queryable } from "#mesh/postgres/index.ts";
import type { HistoryEntry, Order } from "./domain-order.ts";
import type { Errand, Saga } from "./domain-saga.ts";
import { errandValues } from "./store-errands.ts";
import { type OrderRow, orderColumns, withHistory } from "./store-rows.ts";

/**
 * The view of an order that a write rests on: as its present holder, at this entry of its history. Every write is guarded
 * by it, and does nothing when it is out of date. Each move is an entry, so nobody moves an order twice from one place,
 * and what people asked for in between is never written over.
 */
export type Guard = Pick<Order, "id" | "fence" | "version">;

/** What a move leaves behind. */
export interface Moved {
  readonly saga: Saga;
  readonly actor: string;
  readonly note: string;
  /** What is done besides. */
  readonly errands: readonly Errand[];
  /** How long the caller goes on holding the order; undefined to let go of it. */
  readonly leaseMs: number | undefined;
  /** How long nothing is to be done. */
  readonly delayMs: number;
}

/**
 * Makes one move, with its entry in the history and its errands; a return whose money is given back by it is REFUNDED: all
 * or nothing.
 * Undefined when the guard misses.
 */
export async function advanceOrder(
  db: Queryable,
  from: Guard & Pick<Order, "due">,
  moved: Moved,
): Promise<HistoryEntry | undefined> {
  const { saga, actor, note, errands } = moved;
  const atRest = saga.step === "done";
  const values = [
    from.id,
    from.fence,
    from.version,
    saga.state,
    saga.step,
    saga.holds,
    saga.reservationId,
    saga.paymentId,
    saga.refunded,
    saga.promised,
    saga.dues - saga.due.length,
    saga.cartCleared,
    saga.rejection?.reason,
    saga.rejection?.message,
    saga.rejection === undefined ? undefined : JSON.stringify(saga.rejection.metadata),
    atRest ? undefined : moved.leaseMs,
    atRest ? undefined : moved.delayMs,
    actor,
    note,
    saga.shipmentId,
  ];
  const settledReturn = from.due.length > saga.due.length ? from.due[0]?.returnId : undefined;
  const [row] = await (settledReturn === undefined && errands.length === 0
    ? db.query<EntryRow>(advanceText, values)
    : db.query<EntryRow>(advanceAndMoreText, [...values, settledReturn, ...errandValues(errands)]));
  return row === undefined ? undefined : { seq: row.seq, time: row.time, state: saga.state, actor, note };
}

interface EntryRow {
  readonly seq: number;
  readonly time: Date;
}

const advanceWith = (more: string): string => `
  with moved as (
    update orders set
      state = $4, step = $5, holds = $6, reservation_id = $7, payment_id = $8,
      shipment_id = $20, refunded = $9, promised = $10, dues_settled = $11, cart_cleared = $12,
      rejection_reason = $13, rejection_message = $14, rejection_metadata = $15,
      lease_until = now() + $16::int * interval '1 millisecond',
      next_attempt_time = now() + $17::int * interval '1 millisecond',
      attempts = 0, backoff_ms = 0, last_error = '',
      version = version + 1, step_time = now(), update_time = now()
    where id = $1 and fence = $2 and version = $3
    returning id, version, update_time, state, step
  )${more}
  insert into order_events (order_id, seq, time, state, step, actor, note)
  select id, version, update_time, state, step, $18, $19 from moved
  returning seq, time`;

const advanceText = advanceWith("");
const advanceAndMoreText = advanceWith(`, refunded_return as (
    update order_returns set state = 'REFUNDED', update_time = moved.update_time from moved where order_returns.id = $21
  ), errands as (
    insert into order_errands (order_id, kind, subject, amount)
    select moved.id, errand.kind, errand.subject, errand.amount
    from moved, unnest($22::text[], $23::text[], $24::bigint[]) as errand (kind, subject, amount)
    on conflict do nothing
  )`);

/**
 * Notes that a step was tried in vain: it is due again after `backoffMs`. The caller goes on holding the order for
 * `leaseMs`, or lets go of it (undefined). False when the guard misses.
 */
export async function recordFailure(
  db: Queryable,
  guard: Guard,
  failure: {
    readonly attempts: number;
    readonly backoffMs: number;
    readonly error: string;
    readonly leaseMs: number | undefined;
  },
): Promise<boolean> {
  const rows = await db.query(
    `update orders set
       attempts = $4, backoff_ms = $5::int, last_error = $6,
       next_attempt_time = now() + $5::int * interval '1 millisecond',
       lease_until = now() + $7::int * interval '1 millisecond'
     where id = $1 and fence = $2 and version = $3
     returning 1 as written`,
    [guard.id, guard.fence, guard.version, failure.attempts, failure.backoffMs, failure.error, failure.leaseMs],
  );
  return rows.length > 0;
}

/** Lets go of an order that is not done, for any process to take up at once. Nothing when the fence is old. */
export async function letGo(db: Queryable, guard: Pick<Guard, "id" | "fence">): Promise<void> {
  await db.query(
    `update orders set lease_until = null, next_attempt_time = now()
     where id = $1 and fence = $2 and step <> 'done'`,
    [guard.id, guard.fence],
  );
}

/**
 * Takes up to `limit` orders that are due and that nobody holds, those that waited longest first, for `leaseMs`. Each
 * gets a new fence, so that whoever held it before writes nothing any more. Claims at the same time never meet.
 */
export async function claimDueOrders(
  db: Queryable,
  options: { readonly limit: number; readonly leaseMs: number },
): Promise<readonly Order[]> {
  const rows = await db.query<OrderRow>(claimText, [options.limit, options.leaseMs]);
  return withHistory(db, rows);
}

// A lease that ran out was not given back: whoever held it died in this step, which counts as a try.
const claimText = `
  with due as (
    select id as due_id from orders
    where step <> 'done' and next_attempt_time <= now() and (lease_until is null or lease_until <= now())
    order by next_attempt_time limit $1
    for no key update skip locked
  )
  update orders set
    fence = fence + 1,
    attempts = attempts + case when lease_until is null then 0 else 1 end,
    last_error = case when lease_until is null then last_error else 'the process that held the order stopped' end,
    lease_until = now() + $2::int * interval '1 millisecond'
  from due where id = due_id
  returning ${orderColumns}`;

/**
 * Takes up to `limit` of these orders, which a token is here for, when they wait for nothing else: nobody holds them, and
 * it is not known yet what became of an authorization that was given up. That they are not due yet does not matter.
 */
export async function claimForTokens(
  db: Queryable,
  options: { readonly ids: readonly string[]; readonly limit: number; readonly leaseMs: number },
): Promise<readonly Order[]> {
  const rows = await db.query<OrderRow>(
    `with waiting as (
       select id as waiting_id from orders
       where id = any($1) and state = 'PENDING' and step = 'settle_payment' and lease_until is null
       limit $2
       for no key update skip locked
     )
     update orders set fence = fence + 1, lease_until = now() + $3::int * interval '1 millisecond'
     from waiting where id = waiting_id
     returning ${orderColumns}`,
    [options.ids, options.limit, options.leaseMs],
  );
  return withHistory(db, rows);
}

/**
 * Writes a move that somebody asked for, on an order which the transaction has locked. Whoever holds the order goes on
 * holding it, and finds at the next write that it stands elsewhere, or that more is due. A step that goes on keeps its
 * tries and its wait; a new one is due at once. Its errands are written with `insertErrands`.
 */
export async function redirectOrder(
  tx: Queryable,
  order: Pick<Order, "id">,
  moved: Pick<Moved, "saga" | "actor" | "note">,
): Promise<HistoryEntry> {
  const { saga, actor, note } = moved;
  const { state, step, promised, announced, withdrawn, dues, shipmentId } = saga;
  const values = [order.id, state, step, promised, announced, withdrawn, dues, actor, note, shipmentId];
  const [row] = await tx.query<EntryRow>(redirectText, values);
  if (row === undefined) throw new Error(`The order ${order.id} is gone though it is locked.`);
  return { seq: row.seq, time: row.time, state, actor, note };
}

const redirectText = `
  with now_at as (
    select id as at_id, state = $2 and step = $3 as same from orders where id = $1
  ), moved as (
    update orders set
      state = $2, step = $3, promised = $4, announced = $5, withdrawn = $6, dues = $7, shipment_id = $10,
      attempts = case when same then attempts else 0 end,
      backoff_ms = case when same then backoff_ms else 0 end,
      last_error = case when same then last_error else '' end,
      next_attempt_time = case when $3 = 'done' then null when same then next_attempt_time else now() end,
      lease_until = case when $3 = 'done' then null else lease_until end,
      step_time = case when same then step_time else now() end,
      version = version + 1, update_time = now()
    from now_at where id = at_id
    returning id, version, update_time, state, step
  )
  insert into order_events (order_id, seq, time, state, step, actor, note)
  select id, version, update_time, state, step, $8, $9 from moved
  returning seq, time`;

/** Makes an order due at once if it failed at least `minAttempts` times in its present step. False when it has not. */
export async function retryNow(
  tx: Queryable,
  options: { readonly id: string; readonly minAttempts: number; readonly actor: string; readonly note: string },
): Promise<boolean> {
  const rows = await tx.query(
    `with woken as (
       update orders set next_attempt_time = now(), version = version + 1, update_time = now()
       where id = $1 and step <> 'done' and attempts >= $2
       returning id, version, update_time, state, step
     )
     insert into order_events (order_id, seq, time, state, step, actor, note)
     select id, version, update_time, state, step, $3, $4 from woken
     returning seq`,
    [options.id, options.minAttempts, options.actor, options.note],
  );
  return rows.length > 0;
}
