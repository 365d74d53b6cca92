import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { type PersonalPlace, type Queryable, storedAnswers } from "#mesh/postgres/index.ts";
import type { Order } from "./domain-order.ts";
import type { ReturnedLine } from "./domain-saga.ts";
import { getReturnLines, type OrderRow, orderColumns, withHistory } from "./store-rows.ts";

// What still has to be sent, fetched or told of needs to know where and to whom.
// Of an order from before there was shipping nothing more is heard.
const RESTS = `(state in ('COMPLETED', 'REJECTED', 'CANCELLED') or (state = 'PAID' and not delivers))
  and step = 'done' and announced = 0`;
const PERSONAL = `customer_id = $1 and erased_version is distinct from version`;

// Remarks of people stand in the history after what happened and a colon. The hash of the request would tell whoever guesses
// the address that they are right.
const ERASE_ORDERS = `
  with resting as (
    select id from orders where ${PERSONAL} and ${RESTS}
    order by id limit $2
    for no key update
  ), history as (
    update order_events set note = split_part(note, ': ', 1)
    from resting where order_id = resting.id and note like '%: %'
  ), notes as (
    update order_returns set note = '' from resting where order_id = resting.id and note <> ''
  )
  update orders set
    email = '',
    address = jsonb_build_object(
      'recipient', '', 'lines', '[]'::jsonb, 'city', '', 'postalCode', '', 'region', '',
      'countryCode', address -> 'countryCode', 'phone', ''),
    request_hash = '', rate_id = '', shipping_option_id = '', last_error = '', erased_version = version
  from resting where orders.id = resting.id
  returning orders.id`;

/** Where orders hold something personal. */
export const personalPlaces: readonly PersonalPlace[] = [
  {
    // With their histories and returns.
    place: "orders.orders",
    kept: "goods, amounts, dates, ids and the country they went to, which are the books",
    erase: async (tx, customerId, limit) => (await tx.query(ERASE_ORDERS, [customerId, limit])).length,
    left: async (db, customerId) => {
      const [row] = await db.query<{ readonly count: bigint }>(
        `select count(*) as count from orders where ${PERSONAL}`,
        [customerId],
      );
      return Number(row?.count ?? 0n);
    },
  },
  // Answers are whole orders and returns, of those for whom others acted as well.
  storedAnswers("orders.once_requests", [OrderService]),
];

/** Which page of a list that goes by ids, upwards. */
interface Page {
  readonly customerId: string;
  readonly afterId: string;
  readonly limit: number;
}

/** A customer's orders with their histories, in the order of their ids. */
export async function exportOrders(db: Queryable, { customerId, afterId, limit }: Page): Promise<readonly Order[]> {
  const rows = await db.query<OrderRow>(
    `select ${orderColumns} from orders where customer_id = $1 and id > $2 order by id limit $3`,
    [customerId, afterId, limit],
  );
  return withHistory(db, rows);
}

/** A return as it is given out. */
export interface PersonalReturn {
  readonly id: string;
  readonly orderId: string;
  readonly state: string;
  readonly refund: bigint;
  readonly currencyCode: string;
  readonly note: string;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly lines: readonly ReturnedLine[];
}

/** A customer's returns, in the order of their ids. */
export async function exportReturns(
  db: Queryable,
  { customerId, afterId, limit }: Page,
): Promise<readonly PersonalReturn[]> {
  const rows = await db.query<Omit<PersonalReturn, "lines">>(
    `select id, order_id as "orderId", state, refund, currency_code as "currencyCode", note,
       create_time as "createTime", update_time as "updateTime"
     from order_returns where customer_id = $1 and id > $2 order by id limit $3`,
    [customerId, afterId, limit],
  );
  const ids = rows.map(({ id }) => id);
  const lines = await getReturnLines(db, ids);
  return rows.map((row) => ({ ...row, lines: lines.get(row.id) ?? [] }));
}

/** What was paid for a customer's orders and not given back, in one currency. */
export interface Spending {
  readonly currencyCode: string;
  readonly minorUnits: bigint;
  readonly orders: bigint;
}

/** The same for all currencies, in the order of the alphabet. One statement, so that the sums are of one moment. */
export async function sumSpending(db: Queryable, customerId: string): Promise<readonly Spending[]> {
  return db.query<Spending>(
    `select currency_code as "currencyCode", sum(total - refunded)::int8 as "minorUnits", count(*) as orders
     from orders where customer_id = $1 and state in ('PAID', 'SHIPPED', 'COMPLETED')
     group by currency_code order by currency_code`,
    [customerId],
  );
}
