import { randomUUID } from "node:crypto";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import type { MeshNode } from "#mesh/mesh.ts";

/** Sees to it, as the operator, that there are so many units of a SKU on hand. Nobody may buy it meanwhile. */
export async function setStock(operator: MeshNode, sku: string, units: bigint): Promise<void> {
  const call = operator.background({ name: "stock", timeoutMs: 10_000 });
  const { stock } = await operator.client(InventoryService).getStock({ sku }, call);
  await addStock(operator, { sku, units: units - (stock?.onHand ?? 0n) });
}

/** Puts units into stock, or takes them, as the operator. */
export async function addStock(
  operator: MeshNode,
  { sku, units }: { readonly sku: string; readonly units: bigint },
): Promise<void> {
  if (units === 0n) return;
  const call = operator.background({ name: "stock", timeoutMs: 10_000 });
  const request = { requestId: randomUUID(), sku, delta: units, note: "as many as wanted" };
  await operator.client(InventoryService).adjustStock(request, call);
}
