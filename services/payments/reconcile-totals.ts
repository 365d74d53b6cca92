import type { Queryable } from "#mesh/postgres/index.ts";

/** What was captured and not refunded, of one currency, in minor units, by each of the books at one moment. */
export interface TotalRow {
  readonly currencyCode: string;
  readonly payments: bigint;
  readonly ledger: bigint;
  readonly gateway: bigint;
  /** By how much payments exceed the gateway's records where both are known to differ, or were not compared yet. */
  readonly underWay: bigint;
}

/**
 * The totals of a payment gateway's payments. All in one statement, so at one moment; it reads all payments, ledger lines
 * and records once. The ledger's part is all of it less what payments of other gateways account for.
 */
export async function reconciledTotals(db: Queryable, provider: string): Promise<readonly TotalRow[]> {
  return db.query<TotalRow>(TOTALS, [provider]);
}

const TOTALS = `
  with unsettled as (
    select p.id from reconciliations r
      join payments p on p.provider = r.provider and (p.update_time, p.id) > (r.books_time, r.books_id)
      where r.provider = $1
    union select subject from suspects where provider = $1 and is_payment
    union select p.id from suspects s
      join payments p on p.provider = s.provider and p.authorization_reference = s.subject
      where s.provider = $1 and not s.is_payment
  ), kept (currency, payments, ledger, gateway, under_way) as (
    select currency, captured - refunded, 0, 0, 0 from payments where provider = $1
    union all select currency, 0, debit - credit, 0, 0 from ledger_lines where account = 'gateway_receivable'
    union all select currency, 0, refunded - captured, 0, 0 from payments where provider <> $1
    union all select currency, 0, 0, captured - refunded, 0 from gateway_records where provider = $1
    union all select currency, 0, 0, 0, captured - refunded from payments join unsettled using (id)
    union all select g.currency, 0, 0, 0, g.refunded - g.captured from gateway_records g
      join payments p on p.provider = g.provider and p.authorization_reference = g.authorization_reference
      join unsettled using (id)
    union all select g.currency, 0, 0, 0, g.refunded - g.captured from suspects s
      join gateway_records g on g.provider = s.provider and g.authorization_reference = s.subject
      where s.provider = $1 and not s.is_payment and not exists (
        select from payments p where p.provider = s.provider and p.authorization_reference = s.subject)
  )
  select currency as "currencyCode", sum(payments)::bigint as payments, sum(ledger)::bigint as ledger,
    sum(gateway)::bigint as gateway, sum(under_way)::bigint as "underWay"
  from kept group by currency order by currency limit 200`;
