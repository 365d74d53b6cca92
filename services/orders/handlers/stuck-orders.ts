import type {
  ListStuckOrdersRequest,
  ListStuckOrdersResponse,
  RetryOrderRequest,
  RetryOrderResponse,
} from "#gen/shop/orders/v1/order_service.ts";
import { isId } from "#mesh/ids.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodePageToken, encodePageToken, invalidPageToken } from "#mesh/rpc/page-token.ts";
import { STUCK_ATTEMPTS } from "../domain-retry.ts";
import * as store from "../store.ts";
import { retryNow } from "../store-saga.ts";
import { actorOf, visibleTo } from "./access.ts";
import type { Deps } from "./deps.ts";
import { orderFailure } from "./errors.ts";
import { orderMessage, stuckMessage } from "./messages.ts";
import { DEFAULT_PAGE_SIZE } from "./read-orders.ts";

const FILTER = "stuck orders";

/** The last time that a Date can be, in epoch milliseconds: https://tc39.es/ecma262/#sec-time-values-and-time-range. */
const MAX_TIME_MS = 8.64e15;

/** Orders whose present step failed often, the longest waiting first. */
export const listStuckOrders =
  ({ db }: Pick<Deps, "db">) =>
  async ({ pageSize, pageToken }: ListStuckOrdersRequest): Promise<ListStuckOrdersResponse> => {
    const after = decodePageToken(FILTER, pageToken);
    if (after !== undefined && !isPosition(after)) throw invalidPageToken();
    const limit = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
    const stuck = await store.listStuckOrders(db, {
      minAttempts: STUCK_ATTEMPTS,
      after,
      // One more than asked tells whether there is a page after.
      limit: limit + 1,
    });
    const page = stuck.slice(0, limit);
    const last = page.at(-1);
    const nextPageToken =
      stuck.length > limit && last !== undefined
        ? encodePageToken(FILTER, { stuckTime: last.stuckTime.getTime(), id: last.order.id })
        : "";
    return { orders: page.map(stuckMessage), nextPageToken };
  };

function isPosition(value: unknown): value is store.StuckPosition {
  return (
    typeof value === "object" &&
    value !== null &&
    "stuckTime" in value &&
    typeof value.stuckTime === "number" &&
    value.stuckTime >= 0 &&
    value.stuckTime <= MAX_TIME_MS &&
    "id" in value &&
    typeof value.id === "string" &&
    isId("ord", value.id)
  );
}

/** Has a stuck order tried again at once. */
export const retryOrder =
  ({ db, clock, runner }: Pick<Deps, "db" | "clock" | "runner">) =>
  async (request: RetryOrderRequest, call: Call): Promise<RetryOrderResponse> => {
    const { orderId } = request;
    const response = await once(db, call, request, clock, async (tx): Promise<RetryOrderResponse> => {
      tx.about(visibleTo(call, await store.lockOrder(tx, orderId)).customerId);
      const retry = { id: orderId, minAttempts: STUCK_ATTEMPTS, actor: actorOf(call), note: "tried again on request" };
      if (!(await retryNow(tx, retry))) throw orderFailure({ kind: "order_not_stuck" });
      return { order: orderMessage(visibleTo(call, await store.getOrder(tx, orderId))) };
    });
    runner.wake();
    return response;
  };
