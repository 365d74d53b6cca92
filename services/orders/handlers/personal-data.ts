import type {
  EraseCustomerDataRequest,
  EraseCustomerDataResponse,
  ExportCustomerDataRequest,
  ExportCustomerDataResponse,
} from "#gen/shop/orders/v1/order_service.ts";
import { everyRow, personalRecord } from "#mesh/personal-data.ts";
import { erasePersonalData } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Order } from "../domain-order.ts";
import { exportOrders, exportReturns, personalPlaces } from "../store-erasure.ts";
import type { Deps } from "./deps.ts";

/** All orders and returns of a customer. */
export const exportCustomerData = ({ db }: Pick<Deps, "db">) =>
  async function* ({ customerId }: ExportCustomerDataRequest): AsyncGenerator<ExportCustomerDataResponse> {
    for await (const order of everyRow((afterId, limit) => exportOrders(db, { customerId, afterId, limit }))) {
      yield { record: personalRecord("order", order.id, contentOf(order)) };
    }
    for await (const one of everyRow((afterId, limit) => exportReturns(db, { customerId, afterId, limit }))) {
      yield { record: personalRecord("return", one.id, one) };
    }
  };

/** Takes what is personal out of a customer's orders, but of those under way. */
export const eraseCustomerData =
  ({ db }: Pick<Deps, "db">) =>
  async (request: EraseCustomerDataRequest, call: Call): Promise<EraseCustomerDataResponse> => ({
    erasures: await erasePersonalData(db, call, request, personalPlaces),
  });

/** An order without what only the saga's work is about. */
function contentOf(order: Order): object {
  const { id, cartId, state, lines, currencyCode, subtotal, total, refunded, email, address } = order;
  const { shippingOption, paymentId, rejection, history, createTime, updateTime } = order;
  return {
    ...{ id, cartId, state, lines, currencyCode, subtotal, total, refunded, email, address },
    ...{ shippingOption, paymentId, rejection, history, createTime, updateTime },
  };
}
