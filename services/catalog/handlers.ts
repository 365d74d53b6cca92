import type { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import type { Deps } from "./deps.ts";
import { archiveProduct } from "./handlers/archive-product.ts";
import { batchGetVariants } from "./handlers/batch-get-variants.ts";
import { createProduct } from "./handlers/create-product.ts";
import { getProduct } from "./handlers/get-product.ts";
import { importProducts } from "./handlers/import-products.ts";
import { listCategories } from "./handlers/list-categories.ts";
import { listProducts } from "./handlers/list-products.ts";
import { searchProducts } from "./handlers/search-products.ts";
import { updateProduct } from "./handlers/update-product.ts";

/** The handlers of `shop.catalog.v1.CatalogService`. */
export function catalogHandlers(deps: Deps): Handlers<typeof CatalogService> {
  return {
    getProduct: getProduct(deps),
    batchGetVariants: batchGetVariants(deps),
    listProducts: listProducts(deps),
    searchProducts: searchProducts(deps),
    listCategories: listCategories(deps),
    createProduct: createProduct(deps),
    updateProduct: updateProduct(deps),
    archiveProduct: archiveProduct(deps),
    importProducts: importProducts(deps),
  };
}
