import type { PersonalPlace, Queryable } from "#mesh/postgres/index.ts";
import { getShipments, type ShipmentRow } from "./store.ts";

/** A customer's shipments in the order of their ids, from the one after `afterId` on. */
export async function listShipmentsOf(
  db: Queryable,
  page: { readonly customerId: string; readonly afterId: string; readonly limit: number },
): Promise<readonly ShipmentRow[]> {
  const ids = await db.query<{ readonly id: string }>(
    "select id from shipments where customer_id = $1 and id > $2 order by id limit $3",
    [page.customerId, page.afterId, page.limit],
  );
  const rows = new Map(
    (
      await getShipments(
        db,
        ids.map(({ id }) => id),
      )
    ).map((row) => [row.id, row]),
  );
  return ids.flatMap(({ id }) => rows.get(id) ?? []);
}

/** Where shipping holds something of a person. What is on its way keeps its address until it is where it ends. */
export const personalPlaces: readonly PersonalPlace[] = [
  {
    place: "shipping.shipments",
    kept: "ids, times, goods and scans of shipments, which the books of orders refer to",
    // With the hash of the request, which was made of the address.
    erase: async (tx, customerId, limit) => {
      const erased = await tx.query(
        `with due as (
           select id from shipments
           where customer_id = $1 and address is not null and state in ('DELIVERED', 'RETURNED', 'CANCELLED')
           order by id limit $2 for update
         )
         update shipments s set address = null, request_sha256 = null, version = version + 1
         from due where s.id = due.id
         returning 1 as erased`,
        [customerId, limit],
      );
      return erased.length;
    },
    left: async (db, customerId) => {
      const [row] = await db.query<{ readonly count: bigint }>(
        "select count(*) as count from shipments where customer_id = $1 and address is not null",
        [customerId],
      );
      return Number(row?.count ?? 0n);
    },
  },
];
