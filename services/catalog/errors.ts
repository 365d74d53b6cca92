import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { failures, invalidArgument, type RpcError, type Violation } from "#mesh/contract/errors.ts";
import type { ProductError } from "./domain.ts";
import { type CategoryError, MAX_CATEGORY_DEPTH } from "./domain-categories.ts";

/** The failures that the contract of the catalogue declares. */
export const failure = failures(CatalogService);

/** What a caller is told of a rule that was broken: the one place where the domain's errors get their reasons. */
export function productFailure(error: ProductError): RpcError {
  switch (error.kind) {
    case "product_not_found":
      return failure("PRODUCT_NOT_FOUND", "There is no such product.");
    case "product_archived":
      return failure("PRODUCT_ARCHIVED", "The product is archived, and is changed no more.");
    case "etag_stale":
      return failure("ETAG_STALE", "The product was changed since its etag was read. Read it again.", {
        etag: error.etag,
      });
    case "update_mask_invalid":
      return failure(
        "UPDATE_MASK_INVALID",
        error.path === "" ? "The mask names no field." : `The mask names ${error.path}, which cannot be updated.`,
        { path: error.path },
      );
    case "category_not_found":
      return categoryNotFound(error.categorySlug);
    case "currency_not_supported":
      return failure(
        "CURRENCY_NOT_SUPPORTED",
        `The shop sells in ${error.shopCurrency}, not in ${error.currencyCode}.`,
        { currency_code: error.shopCurrency },
      );
    case "external_key_taken":
      return failure("EXTERNAL_KEY_TAKEN", `Another product has the external key ${error.externalKey}.`, {
        external_key: error.externalKey,
      });
    case "sku_taken":
      return failure("SKU_TAKEN", `Another product has, or had, the SKU ${error.sku}.`, { sku: error.sku });
  }
}

/** The same for a category's place in the tree. */
export function categoryFailure(error: CategoryError): RpcError {
  switch (error.kind) {
    case "parent_not_found":
      return categoryNotFound(error.categorySlug);
    case "cycle":
      return invalidArgument([parentViolation("must not be the category itself or one below it", "category.cycle")]);
    case "too_deep":
      return invalidArgument([
        parentViolation(`must leave the tree at most ${MAX_CATEGORY_DEPTH} levels deep`, "category.depth"),
      ]);
  }
}

/** No category has this slug. */
export function categoryNotFound(slug: string): RpcError<"CATEGORY_NOT_FOUND"> {
  return failure("CATEGORY_NOT_FOUND", `There is no category ${slug}.`, { category_slug: slug });
}

function parentViolation(description: string, reason: string): Violation {
  return { field: "parent_slug", description, reason };
}
