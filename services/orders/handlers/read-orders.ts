import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type {
  GetCustomerSpendingRequest,
  GetCustomerSpendingResponse,
  GetOrderRequest,
  GetOrderResponse,
  ListOrdersRequest,
  ListOrdersResponse,
  WatchOrderRequest,
  WatchOrderResponse,
} from "#gen/shop/orders/v1/order_service.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { encodeResumeToken, versionSeen, watchInterrupted } from "#mesh/rpc/resume-token.ts";
import { changesSince, type Order } from "../domain-order.ts";
import { isFinal } from "../domain-saga.ts";
import * as store from "../store.ts";
import { sumSpending } from "../store-erasure.ts";
import { isStaff, visibleTo } from "./access.ts";
import type { Deps } from "./deps.ts";
import { orderMessage, stateOf } from "./messages.ts";

const fail = failures(OrderService);

/** How many orders are on a page when the caller does not say. */
export const DEFAULT_PAGE_SIZE = 20;

/** One order with its history. */
export const getOrder =
  ({ db }: Pick<Deps, "db">) =>
  async ({ orderId }: GetOrderRequest, call: Call): Promise<GetOrderResponse> => ({
    order: orderMessage(visibleTo(call, await store.getOrder(db, orderId))),
  });

/** A customer's orders, the newest first. */
export const listOrders =
  ({ db }: Pick<Deps, "db">) =>
  async (request: ListOrdersRequest, call: Call): Promise<ListOrdersResponse> => {
    const ownId = call.user?.id;
    const customerId = request.customerId === "" ? ownId : request.customerId;
    if (customerId === undefined || (customerId !== ownId && !seesAll(call))) return { orders: [], nextPageToken: "" };
    const filter = { customerId, state: request.state };
    const limit = request.pageSize === 0 ? DEFAULT_PAGE_SIZE : request.pageSize;
    const orders = await store.listOrders(db, {
      customerId,
      state: stateOf(request.state),
      beforeId: decodeIdToken(filter, request.pageToken, "ord"),
      // One more than asked tells whether there is a page after.
      limit: limit + 1,
    });
    const { items, nextPageToken } = pageById(orders, { limit, filter });
    return { orders: items.map(orderMessage), nextPageToken };
  };

/** Whether the caller may see every customer's orders; the service customers has looked at who asks. */
function seesAll(call: Call): boolean {
  return call.caller === "customers" || isStaff(call);
}

/** What a customer paid and was not given back. */
export const getCustomerSpending =
  ({ db }: Pick<Deps, "db">) =>
  async ({ customerId }: GetCustomerSpendingRequest): Promise<GetCustomerSpendingResponse> => {
    const sums = await sumSpending(db, customerId);
    return {
      spent: sums.map(({ currencyCode, minorUnits }) => ({ currencyCode, minorUnits })),
      orderCount: sums.reduce((count, { orders }) => count + orders, 0n),
    };
  };

/** The order at once, or what it went through since the token, and every change, to its final state. */
export const watchOrder = ({ db, changes }: Pick<Deps, "db" | "changes">) =>
  async function* ({ orderId, resumeToken }: WatchOrderRequest, call: Call): AsyncGenerator<WatchOrderResponse> {
    const watch = changes.watch(orderId);
    try {
      let order = visibleTo(call, await store.getOrder(db, orderId));
      const seen = versionSeen({ watch: watched(orderId), token: resumeToken, invalid: invalidToken }, order.version);
      if (seen === 0) yield watchedOrder(order);
      else for (const change of changesSince(order, seen)) yield watchedOrder(change);
      while (!isFinal(order.state)) {
        const next = await watch.next(order.version, call.signal);
        if (next === undefined) throw watchInterrupted(OrderService.name);
        for (const change of changesSince(next, order.version)) yield watchedOrder(change);
        order = next;
      }
    } finally {
      watch.close();
    }
  };

function watchedOrder(order: Order): WatchOrderResponse {
  return { order: orderMessage(order), resumeToken: encodeResumeToken(watched(order.id), [order.version]) };
}

/** What a token of WatchOrder is good for. */
function watched(orderId: string): unknown {
  return { orderId };
}

function invalidToken(cause?: unknown): Error {
  return fail("RESUME_TOKEN_INVALID", "The token is not one that a watch of this order gave.", {}, { cause });
}
