import type {
  EraseCustomerDataRequest,
  EraseCustomerDataResponse,
  ExportCustomerDataRequest,
  ExportCustomerDataResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import { everyRow, personalRecord } from "#mesh/personal-data.ts";
import { erasePersonalData } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { exportEvents, exportSessions, exportUser, personalPlaces } from "./store-erasure.ts";

export const exportCustomerData = ({ db }: Pick<Deps, "db">) =>
  async function* ({ customerId: userId }: ExportCustomerDataRequest): AsyncGenerator<ExportCustomerDataResponse> {
    const user = await exportUser(db, userId);
    if (user !== undefined) yield { record: personalRecord("user", user.id, user) };
    for await (const session of everyRow((afterId, limit) => exportSessions(db, { userId, afterId, limit }))) {
      yield { record: personalRecord("session", session.id, session) };
    }
    for await (const event of everyRow((afterId, limit) => exportEvents(db, { userId, afterId, limit }))) {
      yield { record: personalRecord("security_event", event.id, event) };
    }
  };

export const eraseCustomerData =
  (deps: Deps) =>
  async (request: EraseCustomerDataRequest, call: Call): Promise<EraseCustomerDataResponse> => ({
    erasures: await erasePersonalData(deps.db, call, request, personalPlaces(deps)),
  });
