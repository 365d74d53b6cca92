import type { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { createAddress, deleteAddress, listAddresses, updateAddress } from "./addresses.ts";
import type { Deps } from "./deps.ts";
import { eraseCustomer, getErasure } from "./erase.ts";
import { exportCustomerData } from "./export.ts";
import { getCustomerOverview } from "./overview.ts";
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
    getCustomerOverview: getCustomerOverview(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomer: eraseCustomer(deps),
    getErasure: getErasure(deps),
  };
}
