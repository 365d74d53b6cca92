import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { type PersonalPlace, storedAnswers } from "#mesh/postgres/index.ts";

/** Where the cart holds something of a person. */
export const personalPlaces: readonly PersonalPlace[] = [
  {
    // With its lines: who adds one locks the cart first, and makes another when it is gone.
    place: "cart.carts",
    kept: "",
    erase: async (tx, ownerId) => {
      const carts = await tx.query<{ readonly id: string }>(`select id from carts where owner_id = $1 for update`, [
        ownerId,
      ]);
      const ids = carts.map(({ id }) => id);
      await tx.query(`delete from cart_lines where cart_id = any($1)`, [ids]);
      await tx.query(`delete from carts where id = any($1)`, [ids]);
      return ids.length;
    },
    left: async (db, ownerId) => (await db.query(`select id from carts where owner_id = $1`, [ownerId])).length,
  },
  storedAnswers("cart.once_requests", [CartService]),
];
