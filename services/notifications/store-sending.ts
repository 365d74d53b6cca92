import type { Queryable } from "#mesh/postgres/index.ts";
import type { Kind } from "./domain.ts";

/** A mail in the hands of the process that claimed it. */
export interface ClaimedMail {
  readonly id: string;
  readonly kind: Kind;
  readonly orderId: string;
  readonly email: string;
  readonly letter: Uint8Array;
  readonly messageId: string;
  readonly createTime: Date;
  /** Which try this is. Whoever claims the mail later has a higher one. */
  readonly attempts: number;
  readonly backoffMs: number;
}

/** One claim of a mail. */
export type Claim = Pick<ClaimedMail, "id" | "attempts">;

/** Claims mails that are due, the longest waiting first, for `leaseMs`. Several processes never get the same. */
export async function claimDue(
  db: Queryable,
  { limit, leaseMs }: { readonly limit: number; readonly leaseMs: number },
): Promise<readonly ClaimedMail[]> {
  return db.query<ClaimedMail>(
    `update notifications n set lease_until = now() + $2::int * interval '1 millisecond', attempts = n.attempts + 1
     from (
       select id from notifications
       where state = 'QUEUED' and next_attempt_time <= now() and (lease_until is null or lease_until <= now())
       order by next_attempt_time limit $1
       for no key update skip locked
     ) due
     where n.id = due.id
     returning n.id, n.kind, n.order_id as "orderId", n.email, n.letter, n.message_id as "messageId",
       n.create_time as "createTime", n.attempts, n.backoff_ms as "backoffMs"`,
    [limit, leaseMs],
  );
}

/** Claims that go on; and of these, the mails that were erased meanwhile. */
export async function extendLeases(
  db: Queryable,
  claims: readonly Claim[],
  leaseMs: number,
): Promise<readonly { readonly id: string; readonly erased: boolean }[]> {
  return db.query(
    `update notifications n set lease_until = now() + $3::int * interval '1 millisecond'
     from unnest($1::text[], $2::int[]) as held (id, attempts)
     where n.id = held.id and n.attempts = held.attempts and n.lease_until is not null
     returning n.id, n.state = 'ERASED' as erased`,
    [claims.map(({ id }) => id), claims.map(({ attempts }) => attempts), leaseMs],
  );
}

/** Notes that the mail server has taken a mail, whoever else may have claimed it since: that is so. */
export async function markSent(db: Queryable, { id, attempts }: Claim): Promise<void> {
  await db.query(
    `update notifications set
       state = case state when 'ERASED' then 'ERASED' else 'SENT' end,
       send_time = now(), next_attempt_time = null, last_error = '',
       lease_until = case when attempts = $2 then null else lease_until end
     where id = $1 and state in ('QUEUED', 'ERASED')`,
    [id, attempts],
  );
}

/**
 * Notes that a try failed: the mail is due again after `waitMs`, or FAILED when it is refused, or its time is over. It has
 * one try at the end of its time. Nothing, when another process has claimed it since. Tells whether it is given up.
 */
export async function markTried(
  db: Queryable,
  { id, attempts }: Claim,
  failure: {
    readonly refused: boolean;
    readonly error: string;
    readonly backoffMs: number;
    readonly waitMs: number;
  },
): Promise<boolean> {
  const [row] = await db.query<{ readonly givenUp: boolean }>(
    `update notifications set
       state = case when state = 'QUEUED' and ($3 or now() >= give_up_time) then 'FAILED' else state end,
       next_attempt_time = case when state = 'QUEUED' and not ($3 or now() >= give_up_time)
         then least(now() + $6::int * interval '1 millisecond', give_up_time) end,
       last_error = case state when 'ERASED' then '' else $4 end,
       backoff_ms = $5::int, lease_until = null
     where id = $1 and attempts = $2 and state in ('QUEUED', 'ERASED') and lease_until is not null
     returning state = 'FAILED' as "givenUp"`,
    [id, attempts, failure.refused, failure.error, failure.backoffMs, failure.waitMs],
  );
  return row?.givenUp === true;
}

/** Lets go of a mail whose try came to nothing, for any process to take up at once. */
export async function letGo(db: Queryable, { id, attempts }: Claim): Promise<void> {
  await db.query("update notifications set lease_until = null where id = $1 and attempts = $2", [id, attempts]);
}
