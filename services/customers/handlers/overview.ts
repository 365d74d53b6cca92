import type {
  GetCustomerOverviewRequest,
  GetCustomerOverviewResponse,
  OrderSummary,
} from "#gen/shop/customers/v1/customer_service.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { withTimeout } from "#mesh/rpc/call-context.ts";
import { MAX_ADDRESSES } from "../domain.ts";
import * as store from "../store.ts";
import { customerOf, STAFF } from "./access.ts";
import type { Deps } from "./deps.ts";
import { addressMessage, customerMessage } from "./messages.ts";

/** How long orders may take: less than the caller waits, for the rest is answered without them. */
const ORDERS_MS = 1_000;
const RECENT_ORDERS = 10;
const MAX_CURRENCIES = 10;

type OrdersPart = Pick<GetCustomerOverviewResponse, "ordersAvailable" | "recentOrders" | "totalSpent">;

/** A customer at a glance. */
export const getCustomerOverview =
  ({ db, orders }: Pick<Deps, "db" | "orders">) =>
  async (request: GetCustomerOverviewRequest, call: Call): Promise<GetCustomerOverviewResponse> => {
    const customerId = customerOf(call, request.customerId, STAFF);
    const [row, addresses, ordersPart] = await Promise.all([
      store.getCustomer(db, customerId),
      store.listAddresses(db, { customerId, beforeId: undefined, limit: MAX_ADDRESSES }),
      ordersOf(orders, customerId, call),
    ]);
    return { customer: customerMessage(customerId, row), addresses: addresses.map(addressMessage), ...ordersPart };
  };

/** What orders tell; that they do not, when they are away, slow or broken. */
async function ordersOf(orders: Deps["orders"], customerId: string, call: Call): Promise<OrdersPart> {
  const shorter = withTimeout(call, ORDERS_MS);
  try {
    const list = { customerId, state: Order_State.UNSPECIFIED, pageSize: RECENT_ORDERS, pageToken: "" };
    const [recent, spending] = await Promise.all([
      orders.listOrders(list, shorter),
      orders.getCustomerSpending({ customerId }, shorter),
    ]);
    return {
      ordersAvailable: true,
      recentOrders: recent.orders.map(summaryOf),
      totalSpent: spending.spent.slice(0, MAX_CURRENCIES),
    };
  } catch (error) {
    call.signal.throwIfAborted();
    call.log.warn({ err: error }, "an overview is answered without orders");
    return { ordersAvailable: false, recentOrders: [], totalSpent: [] };
  } finally {
    shorter.done();
  }
}

function summaryOf({ id, state, total, lines, createTime }: Order): OrderSummary {
  return {
    orderId: id,
    state: nameOf(state),
    total,
    unitCount: lines.reduce((sum, { quantity }) => sum + quantity, 0n),
    createTime,
  };
}

function nameOf(state: Order_State): string {
  return Object.entries(Order_State).find(([, value]) => value === state)?.[0] ?? "UNSPECIFIED";
}
