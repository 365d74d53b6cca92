import {
  type Category as CategoryMessage,
  Product_State,
  type ProductInput,
  type Product as ProductMessage,
  type Variant as VariantMessage,
} from "#gen/shop/catalog/v1/product.ts";
import { type Content, etagOf, type Product, type Variant } from "./domain.ts";
import type { Category } from "./domain-categories.ts";

/** A product as the contract shows it. */
export function productMessage(product: Product): ProductMessage {
  const { id, externalKey, title, description, categorySlug, attributes, createTime, updateTime } = product;
  return {
    id,
    externalKey,
    title,
    description,
    categorySlug,
    attributes,
    variants: product.variants.map(variantMessage),
    state: Product_State[product.state],
    createTime,
    updateTime,
    etag: etagOf(product),
  };
}

/** A variant as the contract shows it. */
export function variantMessage(variant: Variant): VariantMessage {
  const { sku, title, priceMinor, currencyCode, weightGrams, dimensions, attributes } = variant;
  return { sku, title, price: { currencyCode, minorUnits: priceMinor }, weightGrams, dimensions, attributes };
}

/** A category as the contract shows it. */
export function categoryMessage({ slug, title, parentSlug }: Category): CategoryMessage {
  return { slug, title, parentSlug: parentSlug ?? "" };
}

/** What a product message says. A price that is missing comes out as nothing of no currency: validate first. */
export function contentOf(input: ProductInput): Content {
  const { externalKey, title, description, categorySlug, attributes } = input;
  return { externalKey, title, description, categorySlug, attributes, variants: input.variants.map(variantOf) };
}

function variantOf({ sku, title, price, weightGrams, dimensions, attributes }: VariantMessage): Variant {
  return {
    sku,
    title,
    priceMinor: price?.minorUnits ?? 0n,
    currencyCode: price?.currencyCode ?? "",
    weightGrams,
    dimensions,
    attributes,
  };
}

/** What a category message says. */
export function categoryOf({ slug, title, parentSlug }: CategoryMessage): Category {
  return { slug, title, parentSlug: parentSlug === "" ? undefined : parentSlug };
}
