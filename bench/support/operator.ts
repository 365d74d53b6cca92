import { setTimeout as delay } from "node:timers/promises";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { ListOrdersRequest, ListOrdersResponse } from "#gen/shop/orders/v1/order_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Call } from "#mesh/rpc/call.ts";

/** What the operator does before a load, and can look up after it. */
export interface Operator {
  /** Puts so many units of each SKU into stock, on top of what is there. */
  topUp(skus: readonly string[], units: bigint): Promise<void>;
  /** Waits until no order of these customers is under way any more; false when that took too long. */
  waitUntilPaid(customerIds: readonly string[], timeoutMs: number): Promise<boolean>;
  /** All orders of these customers, with their histories. */
  orders(customerIds: readonly string[]): Promise<readonly Order[]>;
}

const timeoutMs = 10_000;
const pollMs = 100;
const pageSize = 100;
const concurrency = 8;
const underWay = [Order_State.PENDING, Order_State.CONFIRMED] as const;

export function createOperator(mesh: MeshNode, signal: AbortSignal): Operator {
  const inventory = mesh.client(InventoryService);
  const orders = mesh.client(OrderService);
  const call = (): Call => {
    signal.throwIfAborted();
    return mesh.background({ name: "bench", timeoutMs });
  };

  return {
    async topUp(skus, units) {
      await mapConcurrently(skus, (sku) =>
        inventory.adjustStock(
          { requestId: `bench-topup-${sku}`.slice(0, 64), sku, delta: units, note: "bench" },
          call(),
        ),
      );
    },
    async waitUntilPaid(customerIds, waitMs) {
      const giveUpMs = performance.now() + waitMs;
      while (await isAnyUnderWay(customerIds, (request) => orders.listOrders(request, call()))) {
        if (performance.now() > giveUpMs) return false;
        await delay(pollMs, undefined, { signal });
      }
      return true;
    },
    async orders(customerIds) {
      const lists = await mapConcurrently(customerIds, (customerId) =>
        allPages((pageToken) =>
          orders
            .listOrders({ customerId, state: Order_State.UNSPECIFIED, pageSize, pageToken }, call())
            .then((page) => ({ items: page.orders, nextPageToken: page.nextPageToken })),
        ),
      );
      const answers = await mapConcurrently(lists.flat(), ({ id }) => orders.getOrder({ orderId: id }, call()));
      return answers.flatMap(({ order }) => (order === undefined ? [] : [order]));
    },
  };
}

async function isAnyUnderWay(
  customerIds: readonly string[],
  list: (request: ListOrdersRequest) => Promise<ListOrdersResponse>,
): Promise<boolean> {
  for (const customerId of customerIds) {
    for (const state of underWay) {
      const page = await list({ customerId, state, pageSize: 1, pageToken: "" });
      if (page.orders.length > 0) return true;
    }
  }
  return false;
}

async function allPages<Item>(
  read: (pageToken: string) => Promise<{ readonly items: readonly Item[]; readonly nextPageToken: string }>,
): Promise<readonly Item[]> {
  const found: Item[] = [];
  let pageToken = "";
  do {
    const page = await read(pageToken);
    found.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}
