import type { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { createAddress, deleteAddress, listAddresses, updateAddress } from "./addresses.ts";
import type { Deps } from "./deps.ts";
import { getCustomer, updateCustomer } from "./profile.ts";

/** The handlers of `shop.customers.v1.CustomerService`. */
export function customerHandlers(deps: Deps): Handlers<typeof CustomerService> {
  return {
    getCustomer: getCustomer(deps),
    updateCustomer: updateCustomer(deps),
    createAddress: createAddress(deps),
    updateAddress: updateAddress(deps),
    deleteAddress: deleteAddress(deps),
    listAddresses: listAddresses(deps),
    getCustomerOverview: notYet,
    exportCustomerData: notYet,
    eraseCustomer: notYet,
    getErasure: notYet,
  };
}

const notYet = (): never => {
  throw meshFailure("METHOD_UNKNOWN", "This is not here yet.");
};
