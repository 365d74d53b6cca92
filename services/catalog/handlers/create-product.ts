import type { CreateProductRequest, CreateProductResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { once } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { addedProduct, writeProducts } from "../changes.ts";
import type { Deps } from "../deps.ts";
import { checkCurrency, checkSurroundings } from "../domain.ts";
import { productFailure } from "../errors.ts";
import { contentOf, productMessage } from "../messages.ts";
import * as store from "../store.ts";
import { holdCategories, insertOrLockProducts } from "../store-write.ts";

export const createProduct =
  (deps: Deps) =>
  async (request: CreateProductRequest, call: Call): Promise<CreateProductResponse> => {
    const { product: input } = request;
    if (input === undefined) throw new TypeError("the contract requires a product");
    const content = contentOf(input);
    const foreign = checkCurrency(content, deps.currencyCode);
    if (foreign !== undefined) throw productFailure(foreign);

    return once(deps.db, call, request, deps.clock, async (tx): Promise<CreateProductResponse> => {
      const now = deps.clock.now();
      const { categorySlug, externalKey } = content;
      const skus = content.variants.map((variant) => variant.sku);
      const surroundings = await store.getSurroundings(tx, { categorySlugs: [categorySlug], skus });
      const error = checkSurroundings(content, undefined, surroundings);
      if (error !== undefined) throw productFailure(error);
      const product = { id: deps.newId("prd"), content };
      const added = await insertOrLockProducts(tx, [product], now);
      if (!added.has(product.id)) throw productFailure({ kind: "external_key_taken", externalKey });
      await holdCategories(tx, [categorySlug]);
      await writeProducts(tx, { added: [product], changed: [] }, now);
      return { product: productMessage(addedProduct(product, now)) };
    });
  };
