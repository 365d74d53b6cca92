import type { Queryable } from "#mesh/postgres/index.ts";
import type { Content, PlacedVariant, Product, Variant } from "./domain.ts";
import { searchTexts } from "./domain-search.ts";

/*
 * Many rows go in one statement, as one JSON parameter.
 *
 * The lock order, which every writer of products keeps: products by external key, categories by slug, new SKUs by
 * their order, search entries by product. A product's variants are written only while the product is locked, and so is
 * its search entry, but for what reindex.ts does there, in the same order.
 */

// Keeps what a category gives to search entries as it is until this transaction has written them; others may too.
const HOLD_CATEGORIES = "select slug from categories where slug = any($1) order by slug for share";

/** Holds the categories of locked products whose search entries are to be written. */
export async function holdCategories(tx: Queryable, slugs: readonly string[]): Promise<void> {
  await tx.query(HOLD_CATEGORIES, [slugs]);
}

/** A product to be added, with the id that it gets. */
export interface NewProduct {
  readonly id: string;
  readonly content: Content;
}

// A product that is there already is locked and left as it is: such is `do update … where false`.
const INSERT_OR_LOCK_PRODUCTS = `
  insert into products (id, external_key, title, description, category_slug, attributes, create_time, update_time)
  select r.id, r."externalKey", r.title, r.description, r."categorySlug", r.attributes, $2, $2
  from jsonb_to_recordset($1::jsonb) as r (
    id text, "externalKey" text, title text, description text, "categorySlug" text, attributes jsonb)
  order by r."externalKey" collate "C"
  on conflict (external_key) do update set external_key = products.external_key where false
  returning id`;

/** Adds those products whose external keys are free, without variants, and locks the others. Returns the ids added. */
export async function insertOrLockProducts(
  tx: Queryable,
  products: readonly NewProduct[],
  now: Date,
): Promise<ReadonlySet<string>> {
  const rows = products.map(({ id, content }) => ({ id, ...productColumns(content) }));
  const added = await tx.query<{ readonly id: string }>(INSERT_OR_LOCK_PRODUCTS, [JSON.stringify(rows), now]);
  return new Set(added.map((row) => row.id));
}

const UPDATE_PRODUCTS = `
  update products p
  set title = r.title, description = r.description, category_slug = r."categorySlug", attributes = r.attributes,
    version = p.version + 1, update_time = $2
  from jsonb_to_recordset($1::jsonb) as r (
    id text, version bigint, title text, description text, "categorySlug" text, attributes jsonb)
  where p.id = r.id and p.version = r.version and p.state = 'ACTIVE'
  returning p.id`;

/** Writes the content of active products, whose version must be the one that was read. Says how many it was so for. */
export async function updateProducts(
  tx: Queryable,
  changes: readonly { readonly before: Product; readonly content: Content }[],
  now: Date,
): Promise<number> {
  const rows = changes.map(({ before, content }) => ({
    id: before.id,
    version: String(before.version),
    ...productColumns(content),
  }));
  return (await tx.query(UPDATE_PRODUCTS, [JSON.stringify(rows), now])).length;
}

const ARCHIVE_PRODUCT = `
  with gone as (delete from product_search where product_id = $1)
  update products set state = 'ARCHIVED', version = version + 1, update_time = $3
  where id = $1 and version = $2 and state = 'ACTIVE'
  returning id`;

/** Archives an active product, whose version must be the one that was read; no search finds it then. */
export async function archiveProduct(tx: Queryable, product: Product, now: Date): Promise<boolean> {
  return (await tx.query(ARCHIVE_PRODUCT, [product.id, product.version, now])).length === 1;
}

/** A variant of a product. */
export interface VariantRow extends PlacedVariant {
  readonly productId: string;
}

const VARIANT_RECORD = `jsonb_to_recordset($1::jsonb) as r (
    sku text, "productId" text, position int, title text, "priceMinor" bigint, "currencyCode" text,
    "weightGrams" int, "lengthMm" int, "widthMm" int, "heightMm" int, attributes jsonb)`;

// Waits for a transaction that is about to take the same SKU. Those that end up taken are not returned.
const INSERT_VARIANTS = `
  insert into variants (sku, product_id, position, title, price_minor, currency_code, weight_grams,
    length_mm, width_mm, height_mm, attributes)
  select r.sku, r."productId", r.position, r.title, r."priceMinor", r."currencyCode", r."weightGrams",
    r."lengthMm", r."widthMm", r."heightMm", r.attributes
  from ${VARIANT_RECORD}
  order by r.sku collate "C"
  on conflict (sku) do nothing
  returning sku`;

/** Adds variants to locked products. Returns the SKUs that were free; if that is not all, the transaction must fail. */
export async function insertVariants(tx: Queryable, variants: readonly VariantRow[]): Promise<ReadonlySet<string>> {
  if (variants.length === 0) return new Set();
  const rows = await tx.query<{ readonly sku: string }>(INSERT_VARIANTS, [variantsJson(variants)]);
  return new Set(rows.map((row) => row.sku));
}

const UPDATE_VARIANTS = `
  update variants v
  set position = r.position, title = r.title, price_minor = r."priceMinor", currency_code = r."currencyCode",
    weight_grams = r."weightGrams", length_mm = r."lengthMm", width_mm = r."widthMm", height_mm = r."heightMm",
    attributes = r.attributes
  from ${VARIANT_RECORD}
  where v.sku = r.sku and v.product_id = r."productId"`;

/** Writes variants that locked products have, or had. */
export async function updateVariants(tx: Queryable, variants: readonly VariantRow[]): Promise<void> {
  if (variants.length > 0) await tx.query(UPDATE_VARIANTS, [variantsJson(variants)]);
}

const RETIRE_VARIANTS = "update variants set position = null where sku = any($1)";

/** Takes variants off locked products. Their SKUs stay reserved. */
export async function retireVariants(tx: Queryable, skus: readonly string[]): Promise<void> {
  if (skus.length > 0) await tx.query(RETIRE_VARIANTS, [skus]);
}

// An entry that comes out the same is not written: a changed price costs the search index nothing.
const WRITE_SEARCH = `
  insert into product_search (product_id, category_slug, search)
  select r.id, c.slug,
    words_vector(r.heading, 'A') || words_vector(r.attributes, 'C') || words_vector(r.description, 'D') || c.search
  from jsonb_to_recordset($1::jsonb) as r (
    id text, "categorySlug" text, heading text, attributes text, description text)
  join categories c on c.slug = r."categorySlug"
  order by r.id collate "C"
  on conflict (product_id) do update set category_slug = excluded.category_slug, search = excluded.search
  where product_search.search <> excluded.search`;

/** Makes locked, active products be found by their content. Their categories must be held. */
export async function writeSearch(tx: Queryable, products: readonly NewProduct[]): Promise<void> {
  const rows = products.map(({ id, content }) => ({ id, categorySlug: content.categorySlug, ...searchTexts(content) }));
  await tx.query(WRITE_SEARCH, [JSON.stringify(rows)]);
}

function productColumns({ externalKey, title, description, categorySlug, attributes }: Content): object {
  return { externalKey, title, description, categorySlug, attributes };
}

function variantsJson(variants: readonly VariantRow[]): string {
  return JSON.stringify(variants.map(variantColumns));
}

function variantColumns({ priceMinor, dimensions, ...rest }: VariantRow | Variant): object {
  return { ...rest, priceMinor: String(priceMinor), ...dimensions };
}
