import type {
  GetCustomerRequest,
  GetCustomerResponse,
  UpdateCustomerRequest,
  UpdateCustomerResponse,
} from "#gen/shop/customers/v1/customer_service.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { changeProfile, checkEtag, type Profile } from "../domain.ts";
import * as store from "../store.ts";
import { customerOf, STAFF, userOf } from "./access.ts";
import type { Deps } from "./deps.ts";
import { customerFailure } from "./errors.ts";
import { customerMessage } from "./messages.ts";

export const getCustomer =
  ({ db }: Pick<Deps, "db">) =>
  async ({ customerId }: GetCustomerRequest, call: Call): Promise<GetCustomerResponse> => {
    const id = customerOf(call, customerId, STAFF);
    return { customer: customerMessage(id, await store.getCustomer(db, id)) };
  };

export const updateCustomer =
  ({ db, clock }: Pick<Deps, "db" | "clock">) =>
  async (request: UpdateCustomerRequest, call: Call): Promise<UpdateCustomerResponse> => {
    const { id } = userOf(call);
    return once(db, call, request, clock, async (tx) => {
      const before = await lockLiving(tx, { id, now: clock.now() });
      const stale = checkEtag(before, request.etag);
      if (stale !== undefined) throw customerFailure(stale);
      const { displayName = "", phone = "", languageCode = "", defaultAddressId = "" } = request.customer ?? {};
      const input = { displayName, phone, languageCode, defaultAddressId };
      const changed = changeProfile(before, input, request.updateMask ?? []);
      if (!changed.ok) throw customerFailure(changed.error);
      await checkDefault(tx, id, { before, after: changed.value });
      return {
        customer: customerMessage(id, await store.updateProfile(tx, { id, profile: changed.value, now: clock.now() })),
      };
    });
  };

/** The row of the caller, locked. Throws CUSTOMER_ERASED for one of whom nothing is kept any more. */
export async function lockLiving(
  tx: Transaction,
  who: { readonly id: string; readonly now: Date },
): Promise<store.CustomerRow> {
  const row = await store.lockCustomer(tx, who);
  if (row.erased) throw customerFailure({ kind: "customer_erased" });
  return row;
}

/** A default address is one of the customer's own; with their row locked it stays so. */
async function checkDefault(
  tx: Transaction,
  customerId: string,
  { before, after }: { readonly before: Profile; readonly after: Profile },
): Promise<void> {
  const id = after.defaultAddressId;
  if (id === "" || id === before.defaultAddressId) return;
  if ((await store.getAddress(tx, { id, customerId })) === undefined)
    throw customerFailure({ kind: "address_not_found" });
}
