import type { UpdateProductRequest, UpdateProductResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import { ProductInput } from "#gen/shop/catalog/v1/product.ts";
import { invalidArgument } from "#mesh/contract/errors.ts";
import { isId } from "#mesh/ids.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { changedProduct, writeProducts } from "../changes.ts";
import type { Deps } from "../deps.ts";
import {
  applyMask,
  type Content,
  checkChange,
  checkCurrency,
  checkSurroundings,
  type MaskPath,
  readMask,
  sameContent,
} from "../domain.ts";
import { productFailure } from "../errors.ts";
import { contentOf, productMessage } from "../messages.ts";
import * as store from "../store.ts";
import { holdCategories } from "../store-write.ts";

export const updateProduct =
  (deps: Deps) =>
  async (request: UpdateProductRequest, call: Call): Promise<UpdateProductResponse> => {
    const mask = readMask(request.updateMask ?? []);
    if (!mask.ok) throw productFailure(mask.error);
    const values = maskedValues(deps, request.product ?? ProductInput.fromPartial({}), mask.value);
    if (mask.value.includes("variants")) {
      const foreign = checkCurrency(values, deps.currencyCode);
      if (foreign !== undefined) throw productFailure(foreign);
    }
    return once(deps.db, call, request, deps.clock, (tx) => update(deps, tx, { request, values, mask: mask.value }));
  };

interface Update {
  readonly request: UpdateProductRequest;
  readonly values: Content;
  readonly mask: readonly MaskPath[];
}

async function update(deps: Deps, tx: Transaction, { request, values, mask }: Update): Promise<UpdateProductResponse> {
  const { productId, etag } = request;
  if (!isId("prd", productId)) throw productFailure({ kind: "product_not_found" });
  const before = await store.lockProduct(tx, productId);
  if (before === undefined) throw productFailure({ kind: "product_not_found" });
  const refused = checkChange(before, etag);
  if (refused !== undefined) throw productFailure(refused);

  const content = applyMask(before, values, mask);
  if (sameContent(before, content)) return { product: productMessage(before) };
  const { categorySlug } = content;
  await holdCategories(tx, [categorySlug]);
  const skus = content.variants.map((variant) => variant.sku);
  const surroundings = await store.getSurroundings(tx, { categorySlugs: [categorySlug], skus });
  const error = checkSurroundings(content, before.id, surroundings);
  if (error !== undefined) throw productFailure(error);
  const now = deps.clock.now();
  await writeProducts(tx, { added: [], changed: [{ before, content }] }, now);
  return { product: productMessage(changedProduct({ before, content }, now)) };
}

/** The new values, of which only those that the mask names are read. Throws INVALID_REQUEST if one breaks a rule. */
function maskedValues({ validate }: Deps, input: ProductInput, mask: readonly MaskPath[]): Content {
  const nothing = contentOf(ProductInput.fromPartial({}));
  const values = applyMask(nothing, contentOf(input), mask);
  const isMasked = (field: string) => mask.some((path) => path === field.split(/[.[]/, 1)[0]);
  const violations = validate("shop.catalog.v1.ProductInput", ProductInput.encode(input).finish()).filter(({ field }) =>
    isMasked(field),
  );
  if (violations.length > 0)
    throw invalidArgument(violations.map((one) => ({ ...one, field: `product.${one.field}` })));
  return values;
}
