import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { type PersonalPlace, type Queryable, storedAnswers } from "#mesh/postgres/index.ts";
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

// What couriers wrote of who took a parcel in is as personal as where it went.
const PERSONAL = `customer_id = $1 and (address is not null or exists (
  select from parcels p join scans s on s.parcel_id = p.id where p.shipment_id = shipments.id and s.note <> ''))`;

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
           where ${PERSONAL} and state in ('DELIVERED', 'RETURNED', 'CANCELLED')
           order by id limit $2 for update
         ), notes as (
           update scans set note = '' from parcels p join due on p.shipment_id = due.id
           where scans.parcel_id = p.id and note <> ''
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
        `select count(*) as count from shipments where ${PERSONAL}`,
        [customerId],
      );
      return Number(row?.count ?? 0n);
    },
  },
  // Of scans, which tell of parcels that are somebody else's than who scans them.
  storedAnswers("shipping.once_requests", [ShippingService]),
];
