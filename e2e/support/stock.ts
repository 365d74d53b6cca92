import { randomUUID } from "node:crypto";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { withRunningShop } from "../../cli/commands/running-shop.ts";
import { readSettings } from "../../cli/settings.ts";
import type { ShopPlace } from "./setup.ts";

/** Sees to it, as the operator, that there are so many units of a SKU on hand. Nobody may buy it meanwhile. */
export async function setStock({ dataDir }: ShopPlace, sku: string, units: bigint): Promise<void> {
  await withRunningShop(readSettings({}, { data: dataDir }), async (mesh) => {
    const inventory = mesh.client(InventoryService);
    const call = () => mesh.background({ name: "stock", timeoutMs: 10_000 });
    const { stock } = await inventory.getStock({ sku }, call());
    const delta = units - (stock?.onHand ?? 0n);
    if (delta === 0n) return;
    await inventory.adjustStock({ requestId: randomUUID(), sku, delta, note: "as many as wanted" }, call());
  });
}
