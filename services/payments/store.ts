import type { Queryable } from "#mesh/postgres/index.ts";
import type { PaymentState, Standing } from "./domain.ts";

export interface PaymentRow extends Standing {
  readonly id: string;
  readonly orderId: string;
  readonly customerId: string;
  readonly provider: string;
  readonly authorizationReference: string | undefined;
  readonly captureReference: string | undefined;
  readonly declineCode: string | undefined;
  readonly expireTime: Date | undefined;
  readonly pendingOperationId: string | undefined;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** A row as PostgreSQL gives it: absent values are null. */
export type Stored<Row> = {
  readonly [Key in keyof Row]: undefined extends Row[Key] ? Exclude<Row[Key], undefined> | null : Row[Key];
};

const PAYMENT = `id, order_id as "orderId", customer_id as "customerId", state, currency as "currencyCode", amount,
  captured, refunded, provider, authorization_reference as "authorizationReference",
  capture_reference as "captureReference", decline_code as "declineCode", expire_time as "expireTime",
  pending_operation_id as "pendingOperationId", create_time as "createTime", update_time as "updateTime"`;

function paymentOf(row: Stored<PaymentRow>): PaymentRow {
  return {
    ...row,
    authorizationReference: row.authorizationReference ?? undefined,
    captureReference: row.captureReference ?? undefined,
    declineCode: row.declineCode ?? undefined,
    expireTime: row.expireTime ?? undefined,
    pendingOperationId: row.pendingOperationId ?? undefined,
  };
}

/** The one row of a statement, converted; undefined when there is none. */
export function first<Row, Result>(rows: readonly Row[], convert: (row: Row) => Result): Result | undefined {
  const [row] = rows;
  return row === undefined ? undefined : convert(row);
}

const GET_PAYMENT = `select ${PAYMENT} from payments where id = $1`;
const LOCK_PAYMENT = `select ${PAYMENT} from payments where id = $1 for update`;

/** One payment. */
export async function getPayment(db: Queryable, id: string): Promise<PaymentRow | undefined> {
  return first(await db.query<Stored<PaymentRow>>(GET_PAYMENT, [id]), paymentOf);
}

/** One payment that something else names: none is ever deleted, so it is there. */
export async function loadPayment(db: Queryable, id: string): Promise<PaymentRow> {
  const payment = await getPayment(db, id);
  if (payment === undefined) throw new Error(`payment ${id} is gone, and none is ever deleted`);
  return payment;
}

/** One payment, locked until the transaction ends. Whoever changes a payment or its operations holds this lock. */
export async function lockPayment(tx: Queryable, id: string): Promise<PaymentRow | undefined> {
  return first(await tx.query<Stored<PaymentRow>>(LOCK_PAYMENT, [id]), paymentOf);
}

const FIND_BY_AUTHORIZATION = `select ${PAYMENT} from payments where provider = $1 and authorization_reference = $2`;

/** The payment of a payment gateway's authorization. */
export async function findByAuthorization(
  db: Queryable,
  provider: string,
  reference: string,
): Promise<PaymentRow | undefined> {
  return first(await db.query<Stored<PaymentRow>>(FIND_BY_AUTHORIZATION, [provider, reference]), paymentOf);
}

const LIVE_PAYMENT = `select ${PAYMENT} from payments
  where order_id = $1 and state in ('PENDING', 'AUTHORIZED', 'CAPTURED')`;

/** The one payment of an order that is neither refused nor let go. */
export async function findLivePayment(db: Queryable, orderId: string): Promise<PaymentRow | undefined> {
  return first(await db.query<Stored<PaymentRow>>(LIVE_PAYMENT, [orderId]), paymentOf);
}

const LIST_PAYMENTS = `select ${PAYMENT} from payments
  where ($1::text is null or order_id = $1) and ($2::text is null or id < $2) order by id desc limit $3`;

/** Payments, the newest first, from the one before `beforeId` on. */
export async function listPayments(
  db: Queryable,
  page: { readonly orderId: string | undefined; readonly beforeId: string | undefined; readonly limit: number },
): Promise<readonly PaymentRow[]> {
  return (await db.query<Stored<PaymentRow>>(LIST_PAYMENTS, [page.orderId, page.beforeId, page.limit])).map(paymentOf);
}

const LAPSED = `select ${PAYMENT} from payments
  where state = 'AUTHORIZED' and expire_time <= $1 and pending_operation_id is null and provider = $3
  order by expire_time limit $2`;

/** Authorized payments of a payment gateway whose time is up, the longest first. */
export async function listLapsed(
  db: Queryable,
  { provider, now, limit }: { readonly provider: string; readonly now: Date; readonly limit: number },
): Promise<readonly PaymentRow[]> {
  return (await db.query<Stored<PaymentRow>>(LAPSED, [now, limit, provider])).map(paymentOf);
}

/** Notes that what was set aside has lapsed: the payment must be AUTHORIZED with nothing pending, or nothing happens. */
export async function lapsePayment(
  db: Queryable,
  lapse: { readonly id: string; readonly state: Extract<PaymentState, "EXPIRED" | "VOIDED">; readonly now: Date },
): Promise<void> {
  await db.query(
    `update payments set state = $2, update_time = $3
     where id = $1 and state = 'AUTHORIZED' and pending_operation_id is null`,
    [lapse.id, lapse.state, lapse.now],
  );
}

/** Notes what the payment gateway calls an authorization, and its capture, of a payment that had been given up. */
export async function noteReferences(
  db: Queryable,
  found: { readonly id: string; readonly authorization: string; readonly capture: string | undefined },
): Promise<void> {
  await db.query(
    `update payments set authorization_reference = coalesce(authorization_reference, $2),
       capture_reference = coalesce(capture_reference, $3)
     where id = $1 and state in ('DECLINED', 'VOIDED', 'EXPIRED')`,
    [found.id, found.authorization, found.capture],
  );
}

const UNREFERENCED = `select ${PAYMENT} from payments
  where order_id = $1 and provider = $3 and authorization_reference is null and state in ('PENDING', 'DECLINED')
  order by id desc limit $2`;

/** Payments of an order of whose authorization nothing is known, the newest first. */
export async function listUnreferenced(
  db: Queryable,
  { provider, orderId, limit }: { readonly provider: string; readonly orderId: string; readonly limit: number },
): Promise<readonly PaymentRow[]> {
  return (await db.query<Stored<PaymentRow>>(UNREFERENCED, [orderId, limit, provider])).map(paymentOf);
}

/** Takes an authorized payment's time to lapse for a later one. */
export async function postponeLapse(db: Queryable, id: string, expireTime: Date): Promise<void> {
  await db.query(`update payments set expire_time = $2 where id = $1 and state = 'AUTHORIZED'`, [id, expireTime]);
}

export interface BalanceRow {
  readonly account: string;
  readonly currencyCode: string;
  readonly debitMinorUnits: bigint;
  readonly creditMinorUnits: bigint;
}

/** The sums of every account, of one currency or of all. */
export async function ledgerBalances(db: Queryable, currencyCode: string | undefined): Promise<readonly BalanceRow[]> {
  return db.query<BalanceRow>(
    `select account, currency as "currencyCode", sum(debit)::bigint as "debitMinorUnits",
       sum(credit)::bigint as "creditMinorUnits"
     from ledger_lines where $1::text is null or currency = $1
     group by account, currency order by account, currency limit 200`,
    [currencyCode],
  );
}
