import type {
  EraseCustomerDataRequest,
  EraseCustomerDataResponse,
  ExportCustomerDataRequest,
  ExportCustomerDataResponse,
} from "#gen/shop/payments/v1/payment_service.ts";
import { everyRow, personalRecord } from "#mesh/personal-data.ts";
import { erasePersonalData } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { exportPayments, exportRefunds, personalPlaces } from "./store-erasure.ts";

export const exportCustomerData = ({ db }: Pick<Deps, "db">) =>
  async function* ({ customerId }: ExportCustomerDataRequest): AsyncGenerator<ExportCustomerDataResponse> {
    for await (const payment of everyRow((afterId, limit) => exportPayments(db, { customerId, afterId, limit }))) {
      yield { record: personalRecord("payment", payment.id, payment) };
      if (payment.captured === 0n) continue;
      for (const refund of await exportRefunds(db, payment.id)) {
        yield { record: personalRecord("refund", refund.id, refund) };
      }
    }
  };

export const eraseCustomerData =
  ({ db }: Pick<Deps, "db">) =>
  async (request: EraseCustomerDataRequest, call: Call): Promise<EraseCustomerDataResponse> => ({
    erasures: await erasePersonalData(db, call, request, personalPlaces),
  });
