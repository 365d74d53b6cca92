import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { failures, type RpcError } from "#mesh/contract/errors.ts";
import { type CustomerError, MAX_ADDRESSES } from "../domain.ts";

/** The failures that the contract of customers declares. */
export const failure = failures(CustomerService);

/** What a caller is told of a rule that was broken: the one place where the domain's errors get their reasons. */
export function customerFailure(error: CustomerError): RpcError {
  switch (error.kind) {
    case "update_path_unknown":
      return failure(
        "UPDATE_PATH_UNKNOWN",
        error.path === "" ? "The mask names no field." : `The mask names ${error.path}, which cannot be set.`,
        { path: error.path },
      );
    case "etag_mismatch":
      return failure("ETAG_MISMATCH", "It was changed since its etag was read. Read it again.");
    case "address_not_found":
      return failure("ADDRESS_NOT_FOUND", "You have no such address.");
    case "too_many_addresses":
      return failure("TOO_MANY_ADDRESSES", `A customer has at most ${MAX_ADDRESSES} addresses.`);
    case "customer_erased":
      return failure("CUSTOMER_ERASED", "What the shop held on you is being erased, or was; nothing new is kept.");
  }
}
