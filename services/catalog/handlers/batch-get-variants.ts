import type { BatchGetVariantsRequest, BatchGetVariantsResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { Deps } from "../deps.ts";
import { variantMessage } from "../messages.ts";
import * as store from "../store.ts";

export const batchGetVariants =
  ({ db }: Deps) =>
  async ({ skus }: BatchGetVariantsRequest): Promise<BatchGetVariantsResponse> => {
    const rows = await store.getVariants(db, skus);
    const known = new Set(rows.map((row) => row.variant.sku));
    return {
      variants: rows.map(({ variant, productId, productTitle, productState }) => ({
        variant: variantMessage(variant),
        productId,
        productTitle,
        purchasable: productState === "ACTIVE",
      })),
      unknownSkus: skus.filter((sku) => !known.has(sku)),
    };
  };
