import type { PersonalPlace, Queryable } from "#mesh/postgres/index.ts";

/**
 * Where payments hold something that may be personal: what others wrote of refunds. A payment names nobody but by an id, and
 * neither ledger, records nor discrepancies do.
 */
export const personalPlaces: readonly PersonalPlace[] = [
  {
    place: "payments.operations",
    kept: "amounts, dates and ids of payments and refunds, which are the books",
    // One record a payment, whose lock whoever changes its operations holds. A refund under way keeps its note.
    erase: async (tx, customerId, limit) =>
      (
        await tx.query(
          `with locked as (
             select id from payments
             where customer_id = $1 and exists (
               select from operations
               where payment_id = payments.id and kind = 'REFUND' and state <> 'PENDING' and note <> '')
             order by id limit $2
             for update
           ), blanked as (
             update operations set note = ''
             where payment_id in (select id from locked) and kind = 'REFUND' and state <> 'PENDING' and note <> ''
           )
           select id from locked`,
          [customerId, limit],
        )
      ).length,
    left: async (db, customerId) => {
      const [row] = await db.query<{ readonly count: bigint }>(
        `select count(*) as count from payments
         where customer_id = $1 and exists (
           select from operations where payment_id = payments.id and kind = 'REFUND' and note <> '')`,
        [customerId],
      );
      return Number(row?.count ?? 0n);
    },
  },
];

/** A payment as it is given out. */
export interface PersonalPayment {
  readonly id: string;
  readonly orderId: string;
  readonly state: string;
  readonly currencyCode: string;
  readonly amount: bigint;
  readonly captured: bigint;
  readonly refunded: bigint;
  readonly provider: string;
  readonly declineCode: string | null;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** A person's payments in the order of their ids, from the one after `afterId` on. */
export async function exportPayments(
  db: Queryable,
  page: { readonly customerId: string; readonly afterId: string; readonly limit: number },
): Promise<readonly PersonalPayment[]> {
  return db.query<PersonalPayment>(
    `select id, order_id as "orderId", state, currency as "currencyCode", amount, captured, refunded, provider,
       decline_code as "declineCode", create_time as "createTime", update_time as "updateTime"
     from payments where customer_id = $1 and id > $2 order by id limit $3`,
    [page.customerId, page.afterId, page.limit],
  );
}

/** A refund as it is given out. */
export interface PersonalRefund {
  readonly id: string;
  readonly paymentId: string;
  readonly amount: bigint;
  readonly state: string;
  readonly note: string;
  readonly createTime: Date;
}

/** The refunds of a payment. There are at most as many as an order can have. */
export async function exportRefunds(db: Queryable, paymentId: string): Promise<readonly PersonalRefund[]> {
  return db.query<PersonalRefund>(
    `select id, payment_id as "paymentId", amount, state, note, create_time as "createTime"
     from operations where payment_id = $1 and kind = 'REFUND' order by id`,
    [paymentId],
  );
}
