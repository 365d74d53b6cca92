import type {
  EraseCustomerDataRequest,
  EraseCustomerDataResponse,
  ExportCustomerDataRequest,
  ExportCustomerDataResponse,
} from "#gen/shop/cart/v1/cart_service.ts";
import { personalRecord } from "#mesh/personal-data.ts";
import { type Database, erasePersonalData } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { cartIdOf } from "./domain.ts";
import { readCart } from "./store.ts";
import { personalPlaces } from "./store-erasure.ts";

export const exportCustomerData = ({ db }: { readonly db: Database }) =>
  async function* ({ customerId }: ExportCustomerDataRequest): AsyncGenerator<ExportCustomerDataResponse> {
    const id = cartIdOf(customerId);
    const { lines, updateTime } = await readCart(db, id);
    if (updateTime !== undefined) yield { record: personalRecord("cart", id, { id, lines, updateTime }) };
  };

export const eraseCustomerData =
  ({ db }: { readonly db: Database }) =>
  async (request: EraseCustomerDataRequest, call: Call): Promise<EraseCustomerDataResponse> => ({
    erasures: await erasePersonalData(db, call, request, personalPlaces),
  });
