import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { failures, invalidArgument } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { cartIdOf, isCartId } from "./domain.ts";

const fail = failures(CartService);

/**
 * The id of the cart that a call means, if it may have it: an end user their own, and no other; a service that acts for
 * nobody the one it names. Throws CART_NOT_FOUND otherwise, whether or not there is such a cart.
 */
export function cartOf(call: Call, cartId: string): string {
  if (call.user !== undefined) {
    const own = cartIdOf(call.user.id);
    if (cartId !== "" && cartId !== own) throw fail("CART_NOT_FOUND", "You have no such cart.");
    return own;
  }
  if (cartId === "") {
    throw invalidArgument([
      {
        field: "cart_id",
        description: "must be set by a caller without an end user",
        reason: "required",
      },
    ]);
  }
  if (!isCartId(cartId)) throw fail("CART_NOT_FOUND", "There is no such cart.");
  return cartId;
}
