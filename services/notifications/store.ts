import type { Database, Queryable, Transaction } from "#mesh/postgres/index.ts";
import type { Kind, State } from "./domain.ts";

/** A notification as it is now, without the words of its letter. */
export interface NotificationRow {
  readonly id: string;
  readonly kind: Kind;
  readonly state: State;
  readonly orderId: string;
  readonly customerId: string;
  readonly email: string;
  readonly messageId: string;
  readonly attempts: number;
  readonly lastError: string;
  readonly nextAttemptTime: Date | null;
  readonly createTime: Date;
  readonly sendTime: Date | null;
}

/** The same with its letter, as the contract encodes it; empty once it is erased. */
export interface FullRow extends NotificationRow {
  readonly letter: Uint8Array;
}

/** A mail that somebody asks for. */
export interface NewNotification extends Pick<FullRow, "id" | "kind" | "orderId" | "customerId" | "email" | "letter"> {
  readonly method: string;
  readonly requestId: string;
  readonly requestHash: Buffer;
  /** Which shipment or refund it is about; empty for the order itself. */
  readonly about: string;
  readonly messageId: string;
  readonly giveUpAfterMs: number;
}

const columns = `id, kind, state, order_id as "orderId", customer_id as "customerId", email, message_id as "messageId",
  attempts, last_error as "lastError", next_attempt_time as "nextAttemptTime", create_time as "createTime",
  send_time as "sendTime"`;

/** Tells the locks of this service apart from others of the same database. */
const LOCK_SPACE = 0x6e746673;

/**
 * Writes a notification, unless there is one of that request or about the same: undefined. Of several at once exactly one
 * is written. Those of customers who were erased are written ERASED, without what is personal: the lock has an erasure
 * that goes on at the same time come before or after as a whole.
 */
export async function insertNotification(db: Database, row: NewNotification): Promise<NotificationRow | undefined> {
  const lock = { text: "select pg_advisory_xact_lock_shared($1, hashtext($2))", values: [LOCK_SPACE, row.customerId] };
  return db.transaction(
    async (tx) => {
      const [inserted] = await tx.query<NotificationRow>(insertText, [
        row.id,
        row.method,
        row.requestId,
        row.requestHash,
        row.kind,
        row.orderId,
        row.about,
        row.customerId,
        row.email,
        row.letter,
        row.messageId,
        row.giveUpAfterMs,
      ]);
      return inserted;
    },
    { opening: [lock] },
  );
}

const insertText = `
  with customer as (
    select exists (select from erased_customers where customer_id = $8) as erased
  )
  insert into notifications (
    id, method, request_id, request_hash, kind, order_id, about, customer_id, email, letter, message_id,
    state, next_attempt_time, give_up_time)
  select $1, $2, $3, case when erased then ''::bytea else $4::bytea end, $5, $6, $7, $8,
    case when erased then '' else $9 end, case when erased then ''::bytea else $10::bytea end, $11,
    case when erased then 'ERASED' else 'QUEUED' end, case when erased then null else now() end,
    now() + $12::bigint * interval '1 millisecond'
  from customer
  on conflict do nothing
  returning ${columns}`;

/** Has whoever writes for this customer wait, and waits for them, until the transaction ends. */
export async function lockCustomer(tx: Transaction, customerId: string): Promise<void> {
  await tx.query("select pg_advisory_xact_lock($1, hashtext($2))", [LOCK_SPACE, customerId]);
}

/** What a request of this method made, with that request's hash, which is empty once it is erased. */
export async function findByRequest(
  db: Queryable,
  key: { readonly method: string; readonly requestId: string },
): Promise<(NotificationRow & { readonly requestHash: Buffer }) | undefined> {
  const [row] = await db.query<NotificationRow & { readonly requestHash: Buffer }>(
    `select ${columns}, request_hash as "requestHash" from notifications where method = $1 and request_id = $2`,
    [key.method, key.requestId],
  );
  return row;
}

/** The one notification of this kind about this. */
export async function findByMatter(
  db: Queryable,
  matter: { readonly orderId: string; readonly kind: Kind; readonly about: string },
): Promise<NotificationRow | undefined> {
  const [row] = await db.query<NotificationRow>(
    `select ${columns} from notifications where order_id = $1 and kind = $2 and about = $3`,
    [matter.orderId, matter.kind, matter.about],
  );
  return row;
}

/** One notification with its letter. */
export async function getNotification(db: Queryable, id: string): Promise<FullRow | undefined> {
  const [row] = await db.query<FullRow>(`select ${columns}, letter from notifications where id = $1`, [id]);
  return row;
}

/** Notifications, the newest first. */
export async function listNotifications(
  db: Queryable,
  query: {
    /** Only those of this order. */
    readonly orderId: string | undefined;
    readonly state: State | undefined;
    /** Only those that come after this one. */
    readonly beforeId: string | undefined;
    readonly limit: number;
  },
): Promise<readonly NotificationRow[]> {
  const { orderId, state, beforeId, limit } = query;
  if (orderId !== undefined) return db.query<NotificationRow>(listOfOrderText, [beforeId, limit, orderId, state]);
  if (state !== undefined) return db.query<NotificationRow>(listInStateText, [beforeId, limit, state]);
  return db.query<NotificationRow>(listText, [beforeId, limit]);
}

// One text for each, so that each has its index.
const listWhere = (condition: string): string => `
  select ${columns} from notifications
  where ${condition} ($1::text is null or id < $1) order by id desc limit $2`;
const listText = listWhere("");
const listInStateText = listWhere("state = $3 and");
const listOfOrderText = listWhere("order_id = $3 and ($4::text is null or state = $4) and");

/** Notifications of one customer with their letters, the oldest first. */
export async function listOfCustomer(
  db: Queryable,
  page: { readonly customerId: string; readonly afterId: string; readonly limit: number },
): Promise<readonly FullRow[]> {
  return db.query<FullRow>(
    `select ${columns}, letter from notifications where customer_id = $1 and id > $2 order by id limit $3`,
    [page.customerId, page.afterId, page.limit],
  );
}

/** One notification that nobody else changes before the transaction ends. */
export async function lockNotification(tx: Transaction, id: string): Promise<NotificationRow | undefined> {
  const [row] = await tx.query<NotificationRow>(
    `select ${columns} from notifications where id = $1 for no key update`,
    [id],
  );
  return row;
}

/** Has a notification tried at once, with all its time before it again. */
export async function queueAgain(tx: Transaction, again: { readonly id: string; readonly giveUpAfterMs: number }) {
  await tx.query(
    `update notifications set
       state = 'QUEUED', next_attempt_time = now(), backoff_ms = 0,
       give_up_time = now() + $2::bigint * interval '1 millisecond'
     where id = $1`,
    [again.id, again.giveUpAfterMs],
  );
}
