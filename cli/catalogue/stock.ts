import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { OpeningStock } from "../../sample/catalogue.ts";
import { callFailure } from "../operator-client.ts";

// What the contract allows in one question, and as many adjustments at once as do not crowd out others.
const batchSize = 100;
const concurrency = 8;

/**
 * Gives each SKU its first stock, but for those that have some or had some. The request ids are made of the SKUs, so
 * that even two imports at the same time stock each SKU once. Returns how many were stocked. Throws OperatorError.
 */
export async function stockMissing(mesh: MeshNode, stock: readonly OpeningStock[], call: Call): Promise<number> {
  const inventory = mesh.client(InventoryService);
  let stocked = 0;
  try {
    for (let begin = 0; begin < stock.length; begin += batchSize) {
      const batch = new Map(stock.slice(begin, begin + batchSize).map(({ sku, quantity }) => [sku, quantity]));
      const { unknownSkus } = await inventory.batchGetStock({ skus: [...batch.keys()] }, call);
      await forEachConcurrently(unknownSkus, async (sku) => {
        const delta = batch.get(sku) ?? 0n;
        await inventory.adjustStock({ requestId: `stock-${sku}`, sku, delta, note: "first stock" }, call);
        stocked++;
      });
    }
  } catch (error) {
    throw callFailure("the stock can't be entered", error);
  }
  return stocked;
}

// After a failure nothing new is begun, and what is under way has ended when this rejects.
async function forEachConcurrently<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      if (failed) return;
      await work(item).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const results = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
