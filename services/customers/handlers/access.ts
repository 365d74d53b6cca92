import { invalidArgument } from "#mesh/contract/errors.ts";
import { isId } from "#mesh/ids.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { failure } from "./errors.ts";

/** Who may read of everybody. */
export const STAFF = ["admin", "support"];

/** Who may have everybody's data gathered, or erased. */
export const ADMINS = ["admin"];

/** The end user of a call whose policy admits nobody else. */
export function userOf({ user, method }: Call): User {
  if (user === undefined) throw new TypeError(`${method.path} was admitted without an end user`);
  return user;
}

/** Whether the caller has one of these roles, or is the operator's own command. */
export function mayActFor(call: Call, roles: readonly string[]): boolean {
  if (call.user === undefined) return call.caller === "operator";
  return call.user.roles.some((role) => roles.includes(role));
}

/**
 * The customer that a call means: whom it names, or else its end user. Throws CUSTOMER_NOT_FOUND for somebody else whom
 * the caller may not see, whether or not there is such a person, and for what is no user's id.
 */
export function customerOf(call: Call, customerId: string, roles: readonly string[]): string {
  const own = call.user?.id;
  if (customerId === "" && own === undefined) {
    throw invalidArgument([
      { field: "customer_id", description: "must be set by a caller without an end user", reason: "required" },
    ]);
  }
  const id = customerId === "" ? own : customerId;
  if (id !== undefined && (id === own || (isId("usr", id) && mayActFor(call, roles)))) return id;
  throw failure("CUSTOMER_NOT_FOUND", "There is no such customer.");
}
