import type {
  CreateAddressRequest,
  CreateAddressResponse,
  DeleteAddressRequest,
  DeleteAddressResponse,
  ListAddressesRequest,
  ListAddressesResponse,
  UpdateAddressRequest,
  UpdateAddressResponse,
} from "#gen/shop/customers/v1/customer_service.ts";
import { Address } from "#gen/shop/type/v1/address.ts";
import { invalidArgument } from "#mesh/contract/errors.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { changeAddress, checkEtag, MAX_ADDRESSES, namesAddress } from "../domain.ts";
import * as store from "../store.ts";
import { customerOf, STAFF, userOf } from "./access.ts";
import type { Deps } from "./deps.ts";
import { customerFailure } from "./errors.ts";
import { addressMessage } from "./messages.ts";
import { lockLiving } from "./profile.ts";

/** How many addresses are on a page when the caller does not say. */
const DEFAULT_PAGE_SIZE = 20;

export const createAddress =
  ({ db, clock, newId }: Deps) =>
  async (request: CreateAddressRequest, call: Call): Promise<CreateAddressResponse> => {
    const { id: customerId } = userOf(call);
    const address = addressIn(request.address);
    return once(db, call, request, clock, async (tx) => {
      const now = clock.now();
      await lockLiving(tx, { id: customerId, now });
      // With their row locked nobody adds another meanwhile.
      const count = await store.countAddresses(tx, customerId);
      if (count >= MAX_ADDRESSES) throw customerFailure({ kind: "too_many_addresses" });
      const row = await store.insertAddress(tx, { id: newId("adr"), customerId, label: request.label, address, now });
      return { address: addressMessage(row) };
    });
  };

export const updateAddress =
  ({ db, clock }: Deps) =>
  async (request: UpdateAddressRequest, call: Call): Promise<UpdateAddressResponse> => {
    const { id: customerId } = userOf(call);
    const { addressId: id, updateMask: mask = [], label, etag } = request;
    const named = namesAddress(mask);
    if (!named.ok) throw customerFailure(named.error);
    const address = named.value ? addressIn(request.address) : Address.fromPartial({});
    return once(db, call, request, clock, async (tx) => {
      const now = clock.now();
      await lockLiving(tx, { id: customerId, now });
      const before = await store.getAddress(tx, { id, customerId });
      if (before === undefined) throw customerFailure({ kind: "address_not_found" });
      const stale = checkEtag(before, etag);
      if (stale !== undefined) throw customerFailure(stale);
      const changed = changeAddress(before, { label, address }, mask);
      if (!changed.ok) throw customerFailure(changed.error);
      return { address: addressMessage(await store.updateAddress(tx, { id, ...changed.value, now })) };
    });
  };

export const deleteAddress =
  ({ db, clock }: Deps) =>
  async (request: DeleteAddressRequest, call: Call): Promise<DeleteAddressResponse> => {
    const { id: customerId } = userOf(call);
    return once(db, call, request, clock, async (tx) => {
      // Somebody erased has no addresses either, which is all that is wanted.
      await store.lockKnownCustomer(tx, customerId);
      await store.deleteAddress(tx, { id: request.addressId, customerId, now: clock.now() });
      return {};
    });
  };

export const listAddresses =
  ({ db }: Deps) =>
  async (request: ListAddressesRequest, call: Call): Promise<ListAddressesResponse> => {
    const customerId = customerOf(call, request.customerId, STAFF);
    const limit = request.pageSize === 0 ? DEFAULT_PAGE_SIZE : request.pageSize;
    const beforeId = decodeIdToken(customerId, request.pageToken, "adr");
    const found = await store.listAddresses(db, { customerId, beforeId, limit: limit + 1 });
    const { items, nextPageToken } = pageById(found, { limit, filter: customerId });
    return { addresses: items.map(addressMessage), nextPageToken };
  };

/** The address of a request that needs one. Its rules are the contract's. */
function addressIn(address: Address | undefined): Address {
  if (address !== undefined) return address;
  throw invalidArgument([{ field: "address", description: "must be set when the mask names it", reason: "required" }]);
}
