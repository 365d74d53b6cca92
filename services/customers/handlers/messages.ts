import type { Customer, CustomerAddress } from "#gen/shop/customers/v1/customer.ts";
import { etagOf } from "../domain.ts";
import type { AddressRow, CustomerRow } from "../store.ts";

/** A profile as the contract shows it: empty where nothing was ever told, or all is erased. */
export function customerMessage(id: string, row: CustomerRow | undefined): Customer {
  const told = row === undefined || row.erased ? undefined : row;
  return {
    id,
    displayName: told?.displayName ?? "",
    phone: told?.phone ?? "",
    languageCode: told?.languageCode ?? "",
    defaultAddressId: told?.defaultAddressId ?? "",
    createTime: told?.createTime,
    updateTime: told?.updateTime,
    etag: etagOf(told ?? { version: 0n }),
  };
}

/** An address as the contract shows it. */
export function addressMessage(row: AddressRow): CustomerAddress {
  const { id, label, address, createTime, updateTime } = row;
  return { id, label, address: { ...address, lines: [...address.lines] }, createTime, updateTime, etag: etagOf(row) };
}
