import { fail, ok, type Result } from "#mesh/result.ts";

/** One technical fact: `Rated torque`, `0.32 Nm`. */
export interface Attribute {
  readonly name: string;
  readonly value: string;
}

export interface Dimensions {
  readonly lengthMm: number;
  readonly widthMm: number;
  readonly heightMm: number;
}

export interface Variant {
  readonly sku: string;
  readonly title: string;
  /** In the smallest unit of the currency. */
  readonly priceMinor: bigint;
  readonly currencyCode: string;
  readonly weightGrams: number;
  readonly dimensions: Dimensions | undefined;
  readonly attributes: readonly Attribute[];
}

/** All of a product that is written from outside. */
export interface Content {
  readonly externalKey: string;
  readonly title: string;
  readonly description: string;
  readonly categorySlug: string;
  readonly attributes: readonly Attribute[];
  /** In the order they are shown. */
  readonly variants: readonly Variant[];
}

export type ProductState = "ACTIVE" | "ARCHIVED";

export interface Product extends Content {
  readonly id: string;
  readonly state: ProductState;
  readonly version: bigint;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** A product with the SKUs that were taken off it, which are its own for ever. */
export interface OwnedProduct extends Product {
  readonly retiredSkus: readonly string[];
}

/** Why a product cannot be written. */
export type ProductError =
  | { readonly kind: "product_not_found" }
  | { readonly kind: "product_archived" }
  | { readonly kind: "etag_stale"; readonly etag: string }
  | { readonly kind: "update_mask_invalid"; readonly path: string }
  | { readonly kind: "category_not_found"; readonly categorySlug: string }
  | { readonly kind: "currency_not_supported"; readonly currencyCode: string; readonly shopCurrency: string }
  | { readonly kind: "external_key_taken"; readonly externalKey: string }
  | { readonly kind: "sku_taken"; readonly sku: string };

/** The paths that an update can name, each with the field that it stands for. */
const maskFields = {
  title: "title",
  description: "description",
  category_slug: "categorySlug",
  attributes: "attributes",
  variants: "variants",
} as const;

export type MaskPath = keyof typeof maskFields;

/** The paths of a mask, none twice. A path must be exactly one of ours, and there must be one. */
export function readMask(paths: readonly string[]): Result<readonly MaskPath[], ProductError> {
  const unknown = paths.length === 0 ? "" : paths.find((path) => !isMaskPath(path));
  if (unknown !== undefined) return fail({ kind: "update_mask_invalid", path: unknown });
  return ok([...new Set(paths.filter(isMaskPath))]);
}

function isMaskPath(path: string): path is MaskPath {
  return Object.hasOwn(maskFields, path);
}

/** `content` with the fields that `mask` names taken from `values`. */
export function applyMask(content: Content, values: Content, mask: readonly MaskPath[]): Content {
  const taken = Object.fromEntries(mask.map((path) => [maskFields[path], values[maskFields[path]]]));
  const { externalKey, title, description, categorySlug, attributes, variants } = content;
  return { externalKey, title, description, categorySlug, attributes, variants, ...taken };
}

/** Whether a product may change: it is not archived, and `etag` is empty or names the version it has. */
export function checkChange(product: Product, etag: string): ProductError | undefined {
  if (product.state === "ARCHIVED") return { kind: "product_archived" };
  return checkEtag(product, etag);
}

/** Whether `etag` is empty or names the version that the product has. */
export function checkEtag(product: Product, etag: string): ProductError | undefined {
  return etag === "" || etag === etagOf(product) ? undefined : { kind: "etag_stale", etag: etagOf(product) };
}

/** The etag of the version that a product has. */
export function etagOf(product: Pick<Product, "version">): string {
  return String(product.version);
}

/** Whether all prices are in the shop's one currency. */
export function checkCurrency(content: Content, shopCurrency: string): ProductError | undefined {
  const foreign = content.variants.find((variant) => variant.currencyCode !== shopCurrency);
  if (foreign === undefined) return undefined;
  return { kind: "currency_not_supported", currencyCode: foreign.currencyCode, shopCurrency };
}

/** What a product's content must agree with in the rest of the catalogue. */
export interface Surroundings {
  /** Those of the categories in question that exist. */
  readonly categorySlugs: ReadonlySet<string>;
  /** The product that has each of the SKUs in question, if one has. */
  readonly skuOwners: ReadonlyMap<string, string>;
}

/** Whether the category exists and no other product has one of the SKUs. `productId` is that of the product itself. */
export function checkSurroundings(
  content: Content,
  productId: string | undefined,
  { categorySlugs, skuOwners }: Surroundings,
): ProductError | undefined {
  const { categorySlug } = content;
  if (!categorySlugs.has(categorySlug)) return { kind: "category_not_found", categorySlug };
  for (const { sku } of content.variants) {
    const owner = skuOwners.get(sku);
    if (owner !== undefined && owner !== productId) return { kind: "sku_taken", sku };
  }
  return undefined;
}

/** Whether two contents are the same in everything. */
export function sameContent(a: Content, b: Content): boolean {
  return (
    a.externalKey === b.externalKey &&
    a.title === b.title &&
    a.description === b.description &&
    a.categorySlug === b.categorySlug &&
    sameList(a.attributes, b.attributes, sameAttribute) &&
    sameList(a.variants, b.variants, sameVariant)
  );
}

/** A variant at its place, or without one where it is no longer for sale. */
export interface PlacedVariant extends Variant {
  readonly position: number;
}

export interface VariantChanges {
  /** Those whose SKU the product does not have yet. */
  readonly added: readonly PlacedVariant[];
  /** Those whose SKU the product has, now or from before, and that differ. */
  readonly changed: readonly PlacedVariant[];
  /** The SKUs that are taken off, and stay reserved. */
  readonly retired: readonly string[];
}

/** What must be written so that `wanted` takes the place of the variants that `product` has. */
export function diffVariants(
  product: Pick<OwnedProduct, "variants" | "retiredSkus">,
  wanted: readonly Variant[],
): VariantChanges {
  const current = new Map(product.variants.map((variant, at) => [variant.sku, { ...variant, position: at }]));
  const owned = new Set([...current.keys(), ...product.retiredSkus]);
  const placed = wanted.map((variant, at) => ({ ...variant, position: at }));
  const kept = new Set(wanted.map((variant) => variant.sku));
  return {
    added: placed.filter(({ sku }) => !owned.has(sku)),
    changed: placed.filter((variant) => {
      const before = current.get(variant.sku);
      const same = before !== undefined && before.position === variant.position && sameVariant(before, variant);
      return owned.has(variant.sku) && !same;
    }),
    retired: [...current.keys()].filter((sku) => !kept.has(sku)),
  };
}

function sameVariant(a: Variant, b: Variant): boolean {
  return (
    a.sku === b.sku &&
    a.title === b.title &&
    a.priceMinor === b.priceMinor &&
    a.currencyCode === b.currencyCode &&
    a.weightGrams === b.weightGrams &&
    a.dimensions?.lengthMm === b.dimensions?.lengthMm &&
    a.dimensions?.widthMm === b.dimensions?.widthMm &&
    a.dimensions?.heightMm === b.dimensions?.heightMm &&
    sameList(a.attributes, b.attributes, sameAttribute)
  );
}

function sameAttribute(a: Attribute, b: Attribute): boolean {
  return a.name === b.name && a.value === b.value;
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return (
    a.length === b.length &&
    a.every((item, at) => {
      const other = b[at];
      return other !== undefined && same(item, other);
    })
  );
}
