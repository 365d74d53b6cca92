import type { GetProductRequest, GetProductResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { isId } from "#mesh/ids.ts";
import type { Deps } from "../deps.ts";
import type { Product } from "../domain.ts";
import { productFailure } from "../errors.ts";
import { productMessage } from "../messages.ts";
import * as store from "../store.ts";

export const getProduct =
  ({ db }: Deps) =>
  async ({ key }: GetProductRequest): Promise<GetProductResponse> => {
    const product = await find(db, key);
    if (product === undefined) throw productFailure({ kind: "product_not_found" });
    return { product: productMessage(product) };
  };

async function find(db: Deps["db"], key: GetProductRequest["key"]): Promise<Product | undefined> {
  switch (key?.$case) {
    case "productId":
      return isId("prd", key.value) ? store.getProduct(db, key.value) : undefined;
    case "sku":
      return store.getProductBySku(db, key.value);
    case undefined:
      // The contract requires one.
      return undefined;
  }
}
