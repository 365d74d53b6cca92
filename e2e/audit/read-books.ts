import { openSession, type Session } from "#mesh/postgres/database.ts";
import type { Books, TransactionRow } from "./books.ts";

/** Where the records of a shop are. */
export interface BooksSource {
  /** PostgreSQL, as its administrator. */
  readonly adminUrl: string;
  /** What the names of the shop's databases begin with. */
  readonly prefix: string;
  /** The payment gateway simulator: `http://127.0.0.1:4321`. */
  readonly gatewayUrl: string;
  readonly gatewayKey: string;
}

/**
 * Reads all books with statements of its own, past the services. They are of one moment only when nothing changes any
 * more; each database by itself always is.
 */
export async function readBooks(source: BooksSource): Promise<Books> {
  return {
    ...(await inDatabase(source, "orders", readOrders)),
    ...(await inDatabase(source, "payments", readPayments)),
    ...(await inDatabase(source, "inventory", readStock)),
    shipments: await inDatabase(source, "shipping", (session) =>
      session.query(`select id, order_id as "orderId", return_id as "returnId", state from shipments`),
    ),
    confirmations: await inDatabase(source, "notifications", (session) =>
      session.query(`select order_id as "orderId" from notifications where kind = 'ORDER_CONFIRMATION'`),
    ),
    transactions: await readTransactions(source),
  };
}

/** Opens the database of a service, as the administrator. */
export async function inDatabase<Result>(
  { adminUrl, prefix }: Pick<BooksSource, "adminUrl" | "prefix">,
  service: string,
  use: (session: Session) => Promise<Result>,
): Promise<Result> {
  const url = new URL(adminUrl);
  url.pathname = `/${prefix}_${service}`;
  const session = await openSession(url.href, "shopmesh audit");
  try {
    await session.script("begin isolation level repeatable read read only");
    return await use(session);
  } finally {
    await session.close();
  }
}

async function readOrders(session: Session): Promise<Pick<Books, "orders" | "events" | "returns" | "errands">> {
  return {
    orders: await session.query(`
      select id, customer_id as "customerId", request_id as "requestId", state, step,
        reservation_id as "reservationId", payment_id as "paymentId", lease_until is not null as leased, attempts,
        last_error as "lastError", version, currency_code as currency, total, refunded,
        (select json_agg(json_build_object('sku', sku, 'quantity', quantity, 'returned', returned_quantity))
         from order_lines where order_id = id) as lines
      from orders order by id`),
    events: await session.query(`select order_id as "orderId", seq, state, note from order_events order by 1, 2`),
    returns: await session.query(`select id, order_id as "orderId", state from order_returns`),
    errands: await session.query(`
      select order_id as "orderId", kind, attempts, last_error as "lastError" from order_errands
      where next_attempt_time is not null`),
  };
}

async function readPayments(
  session: Session,
): Promise<Pick<Books, "payments" | "operations" | "ledger" | "unbalanced">> {
  const unbalanced = await session.query<{ readonly id: string }>(`
    select operation_id as id from ledger_lines group by operation_id
    having sum(debit) <> sum(credit) or count(distinct currency) <> 1`);
  return {
    payments: await session.query(`
      select id, order_id as "orderId", state, currency, captured, refunded,
        pending_operation_id as "pendingOperationId" from payments`),
    operations: await session.query(`select id, payment_id as "paymentId", kind, state from operations`),
    ledger: await session.query(`
      select account, currency, sum(debit)::bigint as debit, sum(credit)::bigint as credit
      from ledger_lines group by account, currency`),
    unbalanced: unbalanced.map(({ id }) => id),
  };
}

async function readStock(session: Session): Promise<Pick<Books, "stock" | "movements" | "reservations">> {
  return {
    stock: await session.query(`select sku, on_hand as "onHand", reserved from stock`),
    movements: await session.query(`
      select sku, kind, sum(on_hand_delta)::bigint as "onHandDelta", sum(reserved_delta)::bigint as "reservedDelta"
      from movements group by sku, kind`),
    reservations: await session.query(`
      select id, reference, state,
        (select json_agg(json_build_object('sku', sku, 'quantity', quantity, 'restocked', restocked_quantity))
         from reservation_lines where reservation_id = id) as lines
      from reservations`),
  };
}

const pageSize = 500;
const answerWithinMs = 10_000;

interface TransactionPage {
  readonly transactions: readonly {
    readonly id: string;
    readonly type: TransactionRow["type"];
    readonly authorization_id: string;
    readonly reference: string;
    readonly currency: string;
    readonly amount: string;
  }[];
  readonly next_after: string;
  readonly has_more: boolean;
}

async function readTransactions({ gatewayUrl, gatewayKey }: BooksSource): Promise<readonly TransactionRow[]> {
  const found: TransactionRow[] = [];
  for (let after = "", more = true; more; ) {
    const query = `limit=${pageSize}${after === "" ? "" : `&after=${after}`}`;
    const response = await fetch(`${gatewayUrl}/v1/transactions?${query}`, {
      headers: { authorization: `Bearer ${gatewayKey}` },
      signal: AbortSignal.timeout(answerWithinMs),
    });
    if (response.status !== 200) throw new Error(`the payment gateway answers ${response.status}`);
    // As its README says.
    const page = (await response.json()) as TransactionPage;
    for (const { authorization_id: authorizationId, amount, ...rest } of page.transactions) {
      found.push({ ...rest, authorizationId, amount: BigInt(amount) });
    }
    after = page.next_after;
    more = page.has_more;
  }
  return found;
}
