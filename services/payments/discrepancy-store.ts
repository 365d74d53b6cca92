import type { Queryable } from "#mesh/postgres/index.ts";
import type { PaymentState } from "./domain.ts";
import type { DifferenceKind, GatewayStanding } from "./domain-alignment.ts";
import type { Stored } from "./store.ts";

export interface DiscrepancyRow {
  readonly id: string;
  readonly provider: string;
  readonly kind: DifferenceKind;
  readonly state: "OPEN" | "REPAIRED" | "RESOLVED";
  /** Undefined for what is missing in our books. */
  readonly paymentId: string | undefined;
  readonly authorizationReference: string | undefined;
  readonly currencyCode: string;
  /** As each side had it; undefined for a side that has nothing. Kept is captured and not refunded, in minor units. */
  readonly ourState: PaymentState | undefined;
  readonly ourKept: bigint | undefined;
  readonly gatewayState: Exclude<GatewayStanding["status"], "ABSENT"> | undefined;
  readonly gatewayKept: bigint | undefined;
  readonly createTime: Date;
  readonly updateTime: Date;
}

const DISCREPANCY = `id, provider, kind, state, payment_id as "paymentId",
  authorization_reference as "authorizationReference", currency as "currencyCode", our_state as "ourState",
  our_kept as "ourKept", gateway_state as "gatewayState", gateway_kept as "gatewayKept", create_time as "createTime",
  update_time as "updateTime"`;

function discrepancyOf(row: Stored<DiscrepancyRow>): DiscrepancyRow {
  return {
    ...row,
    paymentId: row.paymentId ?? undefined,
    authorizationReference: row.authorizationReference ?? undefined,
    ourState: row.ourState ?? undefined,
    ourKept: row.ourKept ?? undefined,
    gatewayState: row.gatewayState ?? undefined,
    gatewayKept: row.gatewayKept ?? undefined,
  };
}

/**
 * Notes a discrepancy; where one of the same payment or authorization is open, that one is brought up to date. An open
 * one is a suspect from then on, whoever came upon it, so that it is looked at until both agree.
 */
export async function noteDiscrepancy(db: Queryable, row: DiscrepancyRow): Promise<void> {
  await db.query(
    `with watched as (
       insert into suspects (provider, subject, is_payment, next_look_time)
       select $2, coalesce($5::text, $6), $5::text is not null, $12 where $4 = 'OPEN'
       on conflict (provider, subject) do nothing
     )
     insert into discrepancies (id, provider, kind, state, payment_id, authorization_reference, currency, our_state,
       our_kept, gateway_state, gateway_kept, create_time, update_time)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
     on conflict (provider, coalesce(payment_id, authorization_reference)) where state = 'OPEN' do update
     set kind = excluded.kind, our_state = excluded.our_state, our_kept = excluded.our_kept,
       gateway_state = excluded.gateway_state, gateway_kept = excluded.gateway_kept, update_time = excluded.update_time`,
    [
      row.id,
      row.provider,
      row.kind,
      row.state,
      row.paymentId,
      row.authorizationReference,
      row.currencyCode,
      row.ourState,
      row.ourKept,
      row.gatewayState,
      row.gatewayKept,
      row.createTime,
    ],
  );
}

/** Ends the open discrepancy of a payment or, where it has none, of an authorization. Returns whether there was one. */
export async function endDiscrepancy(
  db: Queryable,
  end: {
    readonly provider: string;
    readonly subject: string;
    readonly state: "REPAIRED" | "RESOLVED";
    readonly now: Date;
  },
): Promise<boolean> {
  const rows = await db.query(
    `update discrepancies set state = $3, update_time = $4
     where provider = $1 and coalesce(payment_id, authorization_reference) = $2 and state = 'OPEN' returning id`,
    [end.provider, end.subject, end.state, end.now],
  );
  return rows.length > 0;
}

const LIST = `select ${DISCREPANCY} from discrepancies
  where ($1::text is null or state = $1) and ($2::text is null or id < $2) order by id desc limit $3`;

/** Discrepancies, the newest first, from the one before `beforeId` on. */
export async function listDiscrepancies(
  db: Queryable,
  page: {
    readonly state: DiscrepancyRow["state"] | undefined;
    readonly beforeId: string | undefined;
    readonly limit: number;
  },
): Promise<readonly DiscrepancyRow[]> {
  return (await db.query<Stored<DiscrepancyRow>>(LIST, [page.state, page.beforeId, page.limit])).map(discrepancyOf);
}
