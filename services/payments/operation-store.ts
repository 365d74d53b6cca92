import type { Queryable } from "#mesh/postgres/index.ts";
import type { LedgerLine, OperationKind } from "./domain.ts";
import { first, type PaymentRow, type Stored } from "./store.ts";

export interface OperationRow {
  readonly id: string;
  readonly paymentId: string;
  readonly kind: OperationKind;
  readonly requestSha256: Buffer;
  readonly amount: bigint;
  readonly note: string;
  readonly state: "PENDING" | "DONE" | "FAILED";
  readonly failureCode: string | undefined;
  readonly providerReference: string | undefined;
  /** How often the settler has asked in vain. */
  readonly attempts: number;
  /** Which of its keys the payment gateway is asked under: another one after each refusal. */
  readonly keyNumber: number;
  /**
   * When the payment gateway was first about to be asked under this key; for an authorization, when it was last about to
   * be asked. Undefined where it never was.
   */
  readonly askedTime: Date | undefined;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** Whose request an operation is: what its repetitions are found by. */
export interface OperationKey {
  readonly principal: string;
  readonly kind: OperationKind;
  readonly requestId: string;
}

const OPERATION = `id, payment_id as "paymentId", kind, request_sha256 as "requestSha256", amount, note, state,
  failure_code as "failureCode", provider_reference as "providerReference", attempts, key_number as "keyNumber", asked_time as "askedTime",
  create_time as "createTime", update_time as "updateTime"`;

function operationOf(row: Stored<OperationRow>): OperationRow {
  return {
    ...row,
    failureCode: row.failureCode ?? undefined,
    providerReference: row.providerReference ?? undefined,
    askedTime: row.askedTime ?? undefined,
  };
}

const FIND_OPERATION = `select ${OPERATION} from operations where principal = $1 and kind = $2 and request_id = $3`;
const GET_OPERATION = `select ${OPERATION} from operations where id = $1`;

/** The operation that a request made. */
export async function findOperation(db: Queryable, key: OperationKey): Promise<OperationRow | undefined> {
  const rows = await db.query<Stored<OperationRow>>(FIND_OPERATION, [key.principal, key.kind, key.requestId]);
  return first(rows, operationOf);
}

/** One operation. */
export async function getOperation(db: Queryable, id: string): Promise<OperationRow | undefined> {
  return first(await db.query<Stored<OperationRow>>(GET_OPERATION, [id]), operationOf);
}

const DUE_OPERATIONS = `select ${OPERATION} from operations
  where state = 'PENDING' and next_try_time <= $1 order by next_try_time limit $2`;
const ABANDONED_OPERATIONS = `select ${OPERATION} from operations
  where failure_code = 'abandoned' and asked_time is not null and (update_time, id) > ($1, $2)
  order by update_time, id limit $3`;

/** Operations without an outcome that it is time to ask after, the longest waiting first. */
export async function listDue(db: Queryable, now: Date, limit: number): Promise<readonly OperationRow[]> {
  return (await db.query<Stored<OperationRow>>(DUE_OPERATIONS, [now, limit])).map(operationOf);
}

/** Says when to ask after a pending operation again. */
export async function postponeOperation(
  db: Queryable,
  operation: { readonly id: string; readonly attempts: number; readonly nextTryTime: Date },
): Promise<void> {
  await db.query(`update operations set attempts = $2, next_try_time = $3 where id = $1 and state = 'PENDING'`, [
    operation.id,
    operation.attempts,
    operation.nextTryTime,
  ]);
}

/** Authorizations that were asked for, and given up after a moment; in that order, page by page. */
export async function listAbandoned(
  db: Queryable,
  after: { readonly updateTime: Date; readonly id: string },
  limit: number,
): Promise<readonly OperationRow[]> {
  const rows = await db.query<Stored<OperationRow>>(ABANDONED_OPERATIONS, [after.updateTime, after.id, limit]);
  return rows.map(operationOf);
}

const ABANDONED_OF = `select ${OPERATION} from operations
  where failure_code = 'abandoned' and asked_time is not null and payment_id = $1`;

/** The authorization of a payment that was asked for and given up, when it was. */
export async function findAbandoned(db: Queryable, paymentId: string): Promise<OperationRow | undefined> {
  return first(await db.query<Stored<OperationRow>>(ABANDONED_OF, [paymentId]), operationOf);
}

const NOTE_ASKED = `update operations set asked_time = $2 where id = $1 and state = 'PENDING' returning ${OPERATION}`;

/** Notes that the payment gateway is about to be asked again; undefined when the operation has its outcome by now. */
export async function noteAsked(tx: Queryable, id: string, now: Date): Promise<OperationRow | undefined> {
  return first(await tx.query<Stored<OperationRow>>(NOTE_ASKED, [id, now]), operationOf);
}

/**
 * Adds a payment together with the operation that authorizes it: one statement. Violates `operations_once` or
 * `payments_one_live_per_order`.
 */
export async function insertAuthorization(
  tx: Queryable,
  payment: PaymentRow,
  operation: OperationRow,
  { key, nextTryTime }: Noting,
): Promise<void> {
  await tx.query(
    `with payment as (
       insert into payments (id, order_id, customer_id, state, currency, amount, provider, decline_code,
         pending_operation_id, create_time, update_time)
       values ($2, $10, $11, $12, $13, $6, $14, $15, $16, $9, $9)
     )
     insert into operations (id, payment_id, kind, principal, request_id, request_sha256, amount, note, state,
       failure_code, asked_time, create_time, update_time, next_try_time)
     values ($1, $2, 'AUTHORIZE', $3, $4, $5, $6, '', $7, $15, $17, $9, $9, $8)`,
    [
      operation.id,
      payment.id,
      key.principal,
      key.requestId,
      operation.requestSha256,
      payment.amount,
      operation.state,
      nextTryTime,
      operation.createTime,
      payment.orderId,
      payment.customerId,
      payment.state,
      payment.currencyCode,
      payment.provider,
      payment.declineCode,
      payment.pendingOperationId,
      operation.askedTime,
    ],
  );
}

/** What is noted beside an operation: whose it is, and from when on the settler asks after it. */
export interface Noting {
  readonly key: OperationKey;
  readonly nextTryTime: Date;
}

/**
 * Notes an operation: as the payment's one pending one, which the settler asks after from `nextTryTime` on; or, where
 * nothing had to be done, as one that is done. Violates `operations_once`.
 */
export async function insertOperation(
  tx: Queryable,
  operation: OperationRow,
  { key, nextTryTime }: Noting,
): Promise<void> {
  await tx.query(
    `with pending as (update payments set pending_operation_id = $1 where id = $2 and $10 = 'PENDING')
     insert into operations (id, payment_id, kind, principal, request_id, request_sha256, amount, note, state,
       asked_time, create_time, update_time, next_try_time)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $12, $9, $9, $11)`,
    [
      operation.id,
      operation.paymentId,
      operation.kind,
      key.principal,
      key.requestId,
      operation.requestSha256,
      operation.amount,
      operation.note,
      operation.createTime,
      operation.state,
      nextTryTime,
      operation.askedTime,
    ],
  );
}

const REOPEN = `with payment as (update payments set pending_operation_id = $1 where id = $2 and $3 = 'PENDING')
  update operations set state = $3, failure_code = null, key_number = key_number + 1, attempts = 0, asked_time = $4,
    update_time = $4, next_try_time = $5
  where id = $1 and state = 'FAILED' returning ${OPERATION}`;

/**
 * Opens an operation that was refused again, to be asked for under its next key; or closes it as done, where nothing is
 * left to do. Undefined when it is not a refused one.
 */
export async function reopenOperation(
  tx: Queryable,
  operation: Pick<OperationRow, "id" | "paymentId">,
  change: { readonly state: "PENDING" | "DONE"; readonly now: Date; readonly nextTryTime: Date },
): Promise<OperationRow | undefined> {
  const values = [operation.id, operation.paymentId, change.state, change.now, change.nextTryTime];
  return first(await tx.query<Stored<OperationRow>>(REOPEN, values), operationOf);
}

/**
 * Writes an operation's outcome, where it leaves the payment, and the lines of the ledger: one statement. Nothing, and
 * false, when the operation is no longer pending under the key that this is the outcome of, or, given `askedBefore`, was
 * about to be asked for since.
 */
export async function completeOperation(
  tx: Queryable,
  operation: OperationRow,
  payment: PaymentRow,
  { lines, now, askedBefore }: Completion,
): Promise<boolean> {
  const rows = await tx.query(
    `with completed as (
       update operations set state = $2, failure_code = $3, provider_reference = $4, update_time = $5
       where id = $1 and state = 'PENDING' and key_number = $18 and ($19::timestamptz is null or asked_time < $19)
       returning id
     ), booked as (
       insert into ledger_lines (operation_id, account, currency, debit, credit, create_time)
       select id, account, $14, debit, credit, $5
       from completed, unnest($15::text[], $16::bigint[], $17::bigint[]) as l (account, debit, credit)
     )
     update payments set state = $7, captured = $8, refunded = $9, authorization_reference = $10,
       capture_reference = $11, decline_code = $12, expire_time = $13, update_time = $5,
       pending_operation_id = nullif(pending_operation_id, $1)
     where id = $6 and exists (select from completed)
     returning id`,
    [
      operation.id,
      operation.state,
      operation.failureCode,
      operation.providerReference,
      now,
      payment.id,
      payment.state,
      payment.captured,
      payment.refunded,
      payment.authorizationReference,
      payment.captureReference,
      payment.declineCode,
      payment.expireTime,
      payment.currencyCode,
      lines.map((line) => line.account),
      lines.map((line) => line.debit),
      lines.map((line) => line.credit),
      operation.keyNumber,
      askedBefore,
    ],
  );
  return rows.length > 0;
}

export interface Completion {
  readonly lines: readonly LedgerLine[];
  readonly now: Date;
  readonly askedBefore: Date | undefined;
}

/** Says that what had been given up after all was authorized, and is let go now. */
export async function markAbandonedVoided(db: Queryable, operationId: string, now: Date): Promise<void> {
  await db.query(`update operations set failure_code = 'abandoned_voided', update_time = $2 where id = $1`, [
    operationId,
    now,
  ]);
}
