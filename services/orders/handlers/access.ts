import { meshFailure } from "#mesh/contract/errors.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { orderFailure } from "./errors.ts";

const STAFF_ROLES = ["admin", "support"];

/** The end user of a call whose policy admits nobody else. */
export function userOf({ user }: Call): User {
  if (user === undefined) throw meshFailure("TOKEN_MISSING", "This needs an end user's token.");
  return user;
}

/** Whether the caller may see every customer's orders: support, administrators, and the operator's own command. */
export function isStaff({ user, caller }: Call): boolean {
  if (user === undefined) return caller === "operator";
  return user.roles.some((role) => STAFF_ROLES.includes(role));
}

/** Whether the caller may see every customer's returns: staff, and those in the warehouse who take them in. */
export function seesAllReturns(call: Call): boolean {
  return isStaff(call) || (call.user?.roles.includes("warehouse") ?? false);
}

/** The order, if there is one and the caller may see it. Somebody else's is no different from none. */
export function visibleTo(call: Call, order: Order | undefined): Order {
  if (order === undefined || !maySee(call, order)) throw orderFailure({ kind: "order_not_found" });
  return order;
}

/** Whether an order, and what belongs to it, is the caller's own, or the caller is staff. */
export function maySee(call: Call, { customerId }: Order): boolean {
  return customerId === call.user?.id || isStaff(call);
}

/** Who does it, for the history. */
export function actorOf({ user, caller }: Call): string {
  return user?.id ?? caller;
}
