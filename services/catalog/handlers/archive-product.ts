import type { ArchiveProductRequest, ArchiveProductResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { isId } from "#mesh/ids.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "../deps.ts";
import { checkEtag, type Product } from "../domain.ts";
import { productFailure } from "../errors.ts";
import { productMessage } from "../messages.ts";
import * as store from "../store.ts";
import { archiveProduct as archive } from "../store-write.ts";

export const archiveProduct =
  ({ db, clock }: Deps) =>
  async (request: ArchiveProductRequest, call: Call): Promise<ArchiveProductResponse> =>
    once(db, call, request, clock, async (tx): Promise<ArchiveProductResponse> => {
      const before = await lock(tx, request);
      if (before.state === "ARCHIVED") return { product: productMessage(before) };
      const now = clock.now();
      if (!(await archive(tx, before, now))) throw new Error("a locked product was changed by somebody else");
      const product = { ...before, state: "ARCHIVED", version: before.version + 1n, updateTime: now } as const;
      return { product: productMessage(product) };
    });

async function lock(tx: Transaction, { productId, etag }: ArchiveProductRequest): Promise<Product> {
  const product = isId("prd", productId) ? await store.lockProduct(tx, productId) : undefined;
  if (product === undefined) throw productFailure({ kind: "product_not_found" });
  const stale = checkEtag(product, etag);
  if (stale !== undefined) throw productFailure(stale);
  return product;
}
