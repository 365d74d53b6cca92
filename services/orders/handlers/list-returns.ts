import type { ListReturnsRequest, ListReturnsResponse } from "#gen/shop/orders/v1/order_service.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { listReturns as findReturns } from "../store-returns.ts";
import { seesAllReturns } from "./access.ts";
import type { Deps } from "./deps.ts";
import { returnMessage, returnStateOf } from "./messages.ts";
import { DEFAULT_PAGE_SIZE } from "./read-orders.ts";

/** Returns, the newest first: those of an order, or all, as far as the caller may see them. */
export const listReturns =
  ({ db }: Pick<Deps, "db">) =>
  async (request: ListReturnsRequest, call: Call): Promise<ListReturnsResponse> => {
    const { orderId, pageToken, pageSize } = request;
    const customerId = seesAllReturns(call) ? undefined : call.user?.id;
    const filter = { orderId, state: request.state, customerId };
    const limit = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
    const found = await findReturns(db, {
      orderId: orderId === "" ? undefined : orderId,
      customerId,
      state: returnStateOf(request.state),
      beforeId: decodeIdToken(filter, pageToken, "ret"),
      // One more than asked tells whether there is a page after.
      limit: limit + 1,
    });
    const { items, nextPageToken } = pageById(found, { limit, filter });
    return { returns: items.map(returnMessage), nextPageToken };
  };
