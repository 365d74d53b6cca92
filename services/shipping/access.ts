import { meshFailure } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";

const STAFF_ROLES = ["admin", "support", "warehouse", "courier"];

/** Whether the caller may see every shipment: staff, and the services that the contract lets in. */
function isStaff({ user, caller }: Call): boolean {
  if (user === undefined) return caller !== "gateway";
  return user.roles.some((role) => STAFF_ROLES.includes(role));
}

/** Whether the caller may see what is this customer's. */
export function maySee(call: Call, { customerId }: { readonly customerId: string }): boolean {
  return customerId === call.user?.id || isStaff(call);
}

/** Whose shipments the caller may see; undefined for everybody's. */
export function customerOf(call: Call): string | undefined {
  if (isStaff(call)) return undefined;
  if (call.user === undefined) throw meshFailure("TOKEN_MISSING", "This needs an end user's token.");
  return call.user.id;
}
