import type {
  EraseCustomerDataRequest,
  EraseCustomerDataResponse,
  ExportCustomerDataRequest,
  ExportCustomerDataResponse,
} from "#gen/shop/shipping/v1/shipping_service.ts";
import { everyRow, personalRecord } from "#mesh/personal-data.ts";
import { type Database, erasePersonalData } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { listShipmentsOf, personalPlaces } from "./store-personal.ts";

/** Everything shipping holds on a person: their shipments, the oldest first. */
export const exportCustomerData = ({ db }: { readonly db: Database }) =>
  async function* ({ customerId }: ExportCustomerDataRequest): AsyncGenerator<ExportCustomerDataResponse> {
    const read = (afterId: string, limit: number) => listShipmentsOf(db, { customerId, afterId, limit });
    for await (const row of everyRow(read)) yield { record: personalRecord("shipment", row.id, row) };
  };

/** Takes addresses out of what is not on its way any more. What is left is erased by asking again. */
export const eraseCustomerData =
  ({ db }: { readonly db: Database }) =>
  async (request: EraseCustomerDataRequest, call: Call): Promise<EraseCustomerDataResponse> => ({
    erasures: await erasePersonalData(db, call, request, personalPlaces),
  });
