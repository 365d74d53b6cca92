import type {
  EraseCustomerDataRequest,
  EraseCustomerDataResponse,
  ExportCustomerDataRequest,
  ExportCustomerDataResponse,
} from "#gen/shop/notifications/v1/notification_service.ts";
import type { PersonalRecord } from "#gen/shop/type/v1/personal_data.ts";
import { everyRow, personalRecord } from "#mesh/personal-data.ts";
import { type Database, erasePersonalData } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { writeMail } from "./letters.ts";
import type { MailSettings } from "./settings.ts";
import { type FullRow, listOfCustomer } from "./store.ts";
import { personalPlaces } from "./store-erasure.ts";

interface Deps {
  readonly db: Database;
  readonly settings: Pick<MailSettings, "from" | "mailDir">;
}

/** Every mail to a person that still holds something of theirs, the oldest first. */
export const exportCustomerData = ({ db, settings }: Deps) =>
  async function* ({ customerId }: ExportCustomerDataRequest): AsyncGenerator<ExportCustomerDataResponse> {
    for await (const row of everyRow((afterId, limit) => listOfCustomer(db, { customerId, afterId, limit }))) {
      if (row.state !== "ERASED") yield { record: recordOf(row, settings.from.name) };
    }
  };

function recordOf(row: FullRow, shop: string): PersonalRecord {
  const { id, kind, state, orderId, email, messageId, createTime, sendTime } = row;
  const { subject, text } = writeMail(kind, row.letter, { orderId, shop, time: createTime });
  const record = { id, kind, state, orderId, email, subject, text, messageId, createTime, sendTime };
  return personalRecord("notification", id, record);
}

/** Takes out what is personal, and keeps what is asked for from then on from being personal. */
export const eraseCustomerData =
  ({ db, settings }: Deps) =>
  async (request: EraseCustomerDataRequest, call: Call): Promise<EraseCustomerDataResponse> => ({
    erasures: await erasePersonalData(db, call, request, personalPlaces(settings.mailDir)),
  });
