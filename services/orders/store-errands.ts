import type { Queryable } from "#mesh/postgres/index.ts";
import type { Errand } from "./domain-saga.ts";

/** An errand that this process is to do. */
export interface ClaimedErrand extends Errand {
  readonly orderId: string;
  /** How often it was tried, this time among them. */
  readonly attempts: number;
}

/** The columns of errands as arrays, for a statement that writes them: kinds, subjects, amounts. */
export function errandValues(errands: readonly Errand[]): readonly unknown[] {
  return [errands.map(({ kind }) => kind), errands.map(({ subject }) => subject), errands.map(({ amount }) => amount)];
}

/** Writes errands of an order; of one that is there already nothing. */
export async function insertErrands(tx: Queryable, orderId: string, errands: readonly Errand[]): Promise<void> {
  if (errands.length === 0) return;
  await tx.query(
    `insert into order_errands (order_id, kind, subject, amount)
     select $1, kind, subject, amount from unnest($2::text[], $3::text[], $4::bigint[]) as errand (kind, subject, amount)
     on conflict do nothing`,
    [orderId, ...errandValues(errands)],
  );
}

interface ErrandRow {
  readonly order_id: string;
  readonly kind: Errand["kind"];
  readonly subject: string;
  readonly amount: bigint;
  readonly attempts: number;
}

/**
 * Takes up to `limit` errands of these kinds that are due, those that waited longest first. They are due again after
 * `leaseMs`, unless their outcome is written before. Claims at the same time never meet.
 */
export async function claimErrands(
  db: Queryable,
  options: { readonly kinds: readonly Errand["kind"][]; readonly limit: number; readonly leaseMs: number },
): Promise<readonly ClaimedErrand[]> {
  const rows = await db.query<ErrandRow>(
    `with due as (
       select order_id as due_order, kind as due_kind, subject as due_subject from order_errands
       where kind = any($1) and next_attempt_time <= now()
       order by next_attempt_time limit $2
       for no key update skip locked
     )
     update order_errands set
       attempts = attempts + 1, next_attempt_time = now() + $3::int * interval '1 millisecond'
     from due where order_id = due_order and kind = due_kind and subject = due_subject
     returning order_id, kind, subject, amount, attempts`,
    [options.kinds, options.limit, options.leaseMs],
  );
  return rows.map(({ order_id, ...row }) => ({ orderId: order_id, ...row }));
}

/** What became of an errand: it is done, `error` undefined; or it is due again after `backoffMs`. */
export interface ErrandOutcome {
  readonly errand: Pick<ClaimedErrand, "orderId" | "kind" | "subject">;
  readonly done: boolean;
  readonly backoffMs: number;
  readonly error: string;
}

/** Writes what became of errands. One that was done stays done. */
export async function recordErrands(db: Queryable, outcomes: readonly ErrandOutcome[]): Promise<void> {
  if (outcomes.length === 0) return;
  await db.query(
    `update order_errands set
       next_attempt_time = case when outcome.done then null else now() + outcome.backoff_ms * interval '1 millisecond' end,
       last_error = outcome.error
     from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::int[], $6::text[])
       as outcome (order_id, kind, subject, done, backoff_ms, error)
     where order_errands.order_id = outcome.order_id and order_errands.kind = outcome.kind
       and order_errands.subject = outcome.subject and next_attempt_time is not null`,
    [
      outcomes.map(({ errand }) => errand.orderId),
      outcomes.map(({ errand }) => errand.kind),
      outcomes.map(({ errand }) => errand.subject),
      outcomes.map(({ done }) => done),
      outcomes.map(({ backoffMs }) => backoffMs),
      outcomes.map(({ error }) => error),
    ],
  );
}
