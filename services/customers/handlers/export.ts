import type { ExportCustomerDataRequest, ExportCustomerDataResponse } from "#gen/shop/customers/v1/customer_service.ts";
import { everyRow, personalRecord } from "#mesh/personal-data.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Holder } from "../holders.ts";
import * as store from "../store.ts";
import { ADMINS, customerOf } from "./access.ts";
import type { Deps } from "./deps.ts";
import { failure } from "./errors.ts";

/** Everything on a person: what is here, then what each other service gives out, and then that this was all. */
export const exportCustomerData = ({ db, holders }: Pick<Deps, "db" | "holders">) =>
  async function* (request: ExportCustomerDataRequest, call: Call): AsyncGenerator<ExportCustomerDataResponse> {
    const customerId = customerOf(call, request.customerId, ADMINS);
    yield* ownRecords(db, customerId);
    for (const holder of holders) yield* recordsOf(holder, customerId, call);
    yield { service: "", record: undefined, complete: true };
  };

async function* ownRecords(db: Deps["db"], customerId: string): AsyncGenerator<ExportCustomerDataResponse> {
  const service = "customers";
  const row = await store.getCustomer(db, customerId);
  if (row === undefined || row.erased) return;
  const { id, displayName, phone, languageCode, defaultAddressId, createTime, updateTime } = row;
  const profile = { id, displayName, phone, languageCode, defaultAddressId, createTime, updateTime };
  yield { service, record: personalRecord("profile", "", profile), complete: false };
  for await (const address of everyRow((afterId, limit) => store.exportAddresses(db, { customerId, afterId, limit }))) {
    yield { service, record: personalRecord("address", address.id, address), complete: false };
  }
}

/** What another service gives out. Throws EXPORT_INCOMPLETE when it does not. */
async function* recordsOf(
  { service, client }: Holder,
  customerId: string,
  call: Call,
): AsyncGenerator<ExportCustomerDataResponse> {
  try {
    for await (const { record } of client.exportCustomerData({ customerId }, call)) {
      yield { service, record, complete: false };
    }
  } catch (error) {
    call.signal.throwIfAborted();
    throw failure(
      "EXPORT_INCOMPLETE",
      `What ${service} holds could not be had; ask again.`,
      { service },
      { cause: error },
    );
  }
}
