import type { Queryable } from "#mesh/postgres/index.ts";
import type { Attribute, OwnedProduct, Product, ProductState, Surroundings, Variant } from "./domain.ts";

/** A variant with what a cart or an order must know of its product. */
export interface VariantOfProduct {
  readonly variant: Variant;
  readonly productId: string;
  readonly productTitle: string;
  readonly productState: ProductState;
}

/** Where a page of products ends. */
export interface ListPosition {
  readonly id: string;
  /** Undefined for the title that the product has now. */
  readonly title: string | undefined;
}

/** A variant as PostgreSQL's JSON has it. The price is text, since a JSON number is not exact. */
interface StoredVariant extends Omit<Variant, "priceMinor" | "dimensions"> {
  readonly priceMinor: string;
  readonly lengthMm: number | null;
  readonly widthMm: number | null;
  readonly heightMm: number | null;
}

export interface StoredProduct {
  readonly id: string;
  readonly externalKey: string;
  readonly title: string;
  readonly description: string;
  readonly categorySlug: string;
  readonly attributes: readonly Attribute[];
  readonly state: ProductState;
  readonly version: bigint;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly variants: readonly StoredVariant[];
}

const VARIANT_JSON = `jsonb_build_object(
    'sku', v.sku, 'title', v.title, 'priceMinor', v.price_minor::text, 'currencyCode', v.currency_code,
    'weightGrams', v.weight_grams, 'lengthMm', v.length_mm, 'widthMm', v.width_mm, 'heightMm', v.height_mm,
    'attributes', v.attributes)`;

/** The columns of a product `p` with its variants. */
export const PRODUCT = `p.id, p.external_key as "externalKey", p.title, p.description, p.category_slug as "categorySlug",
  p.attributes, p.state, p.version, p.create_time as "createTime", p.update_time as "updateTime",
  (select coalesce(jsonb_agg(${VARIANT_JSON} order by v.position), '[]') from variants v
   where v.product_id = p.id and v.position is not null) as variants`;

/** The same with the SKUs that were taken off it. */
const OWNED_PRODUCT = `${PRODUCT},
  array(select v.sku from variants v where v.product_id = p.id and v.position is null) as "retiredSkus"`;

const GET_PRODUCT = `select ${PRODUCT} from products p where p.id = $1`;

const GET_PRODUCT_BY_SKU = `select ${PRODUCT} from products p
  where p.id = (select v.product_id from variants v where v.sku = $1 and v.position is not null)`;

/** One product by its id. */
export async function getProduct(db: Queryable, id: string): Promise<Product | undefined> {
  const [row] = await db.query<StoredProduct>(GET_PRODUCT, [id]);
  return row && productOf(row);
}

/** One product by the SKU of a variant that it has now. */
export async function getProductBySku(db: Queryable, sku: string): Promise<Product | undefined> {
  const [row] = await db.query<StoredProduct>(GET_PRODUCT_BY_SKU, [sku]);
  return row && productOf(row);
}

const GET_VARIANTS = `
  select ${VARIANT_JSON} as variant, p.id as "productId", p.title as "productTitle", p.state as "productState"
  from unnest($1::text[]) with ordinality as asked (sku, place)
  join variants v on v.sku = asked.sku and v.position is not null
  join products p on p.id = v.product_id
  order by asked.place`;

/** The variants of those SKUs that products have now, in the order of `skus`. */
export async function getVariants(db: Queryable, skus: readonly string[]): Promise<readonly VariantOfProduct[]> {
  const rows = await db.query<Omit<VariantOfProduct, "variant"> & { readonly variant: StoredVariant }>(GET_VARIANTS, [
    skus,
  ]);
  return rows.map((row) => ({ ...row, variant: variantOf(row.variant) }));
}

// No title is empty, so every product comes after an empty one.
const AFTER = "(coalesce($1, (select last.title from products last where last.id = $2), ''), $2)";

const LIST_PRODUCTS = `
  select ${PRODUCT} from products p
  where p.state = 'ACTIVE' and (p.title, p.id) > ${AFTER}
  order by p.title, p.id limit $3`;

// The first so many of each category, and of those the first so many: what a page costs is bounded by the number of
// categories, and does not grow with that of the products in them.
const LIST_PRODUCTS_IN = `
  select ${PRODUCT}
  from (
    select one.id, one.title
    from categories c
    cross join lateral (
      select i.id, i.title from products i
      where i.category_slug = c.slug and i.state = 'ACTIVE' and (i.title, i.id) > ${AFTER}
      order by i.title, i.id limit $3
    ) as one
    where c.path @> array[$4]
    order by one.title, one.id limit $3
  ) as page
  join products p on p.id = page.id
  order by page.title, page.id`;

/** Active products after `after` by title and id: those of a category and below it, or of all. */
export async function listProducts(
  db: Queryable,
  page: {
    readonly categorySlug: string | undefined;
    readonly after: ListPosition | undefined;
    readonly limit: number;
  },
): Promise<readonly Product[]> {
  const { categorySlug, after, limit } = page;
  const values = [after?.title, after?.id ?? "", limit];
  const rows =
    categorySlug === undefined
      ? await db.query<StoredProduct>(LIST_PRODUCTS, values)
      : await db.query<StoredProduct>(LIST_PRODUCTS_IN, [...values, categorySlug]);
  return rows.map(productOf);
}

const GET_PRODUCTS_BY_KEY = `select ${OWNED_PRODUCT} from products p where p.external_key = any($1)`;

/** The products of those external keys that are known, by their keys. */
export async function getProductsByKey(
  db: Queryable,
  externalKeys: readonly string[],
): Promise<ReadonlyMap<string, OwnedProduct>> {
  const rows = await db.query<StoredOwnedProduct>(GET_PRODUCTS_BY_KEY, [externalKeys]);
  return new Map(rows.map((row) => [row.externalKey, ownedProductOf(row)]));
}

const LOCK_PRODUCT = "select id from products where id = $1 for update";
const GET_OWNED_PRODUCT = `select ${OWNED_PRODUCT} from products p where p.id = $1`;

/**
 * One product, locked until the transaction ends. Two statements, sent together: one alone would show the variants as
 * they were before it waited for the lock.
 */
export async function lockProduct(tx: Queryable, id: string): Promise<OwnedProduct | undefined> {
  const [, [row]] = await Promise.all([
    tx.query(LOCK_PRODUCT, [id]),
    tx.query<StoredOwnedProduct>(GET_OWNED_PRODUCT, [id]),
  ]);
  return row && ownedProductOf(row);
}

const GET_SURROUNDINGS = `
  select c.slug as key, null as "productId" from categories c where c.slug = any($1)
  union all
  select v.sku, v.product_id from variants v where v.sku = any($2)`;

/** What contents with these categories and SKUs must agree with. SKUs that were taken off a product are still its own. */
export async function getSurroundings(
  db: Queryable,
  asked: { readonly categorySlugs: readonly string[]; readonly skus: readonly string[] },
): Promise<Surroundings> {
  const rows = await db.query<{ readonly key: string; readonly productId: string | null }>(GET_SURROUNDINGS, [
    asked.categorySlugs,
    asked.skus,
  ]);
  const categorySlugs = new Set<string>();
  const skuOwners = new Map<string, string>();
  for (const { key, productId } of rows) {
    if (productId === null) categorySlugs.add(key);
    else skuOwners.set(key, productId);
  }
  return { categorySlugs, skuOwners };
}

interface StoredOwnedProduct extends StoredProduct {
  readonly retiredSkus: readonly string[];
}

function ownedProductOf(row: StoredOwnedProduct): OwnedProduct {
  return { ...productOf(row), retiredSkus: row.retiredSkus };
}

/** A product as the domain has it. */
export function productOf(row: StoredProduct): Product {
  const { id, externalKey, title, description, categorySlug, attributes, state, version, createTime, updateTime } = row;
  const variants = row.variants.map(variantOf);
  return {
    ...{ id, externalKey, title, description, categorySlug, attributes, variants },
    ...{ state, version, createTime, updateTime },
  };
}

function variantOf({ priceMinor, lengthMm, widthMm, heightMm, ...rest }: StoredVariant): Variant {
  const sized = lengthMm !== null && widthMm !== null && heightMm !== null;
  return {
    ...rest,
    priceMinor: BigInt(priceMinor),
    dimensions: sized ? { lengthMm, widthMm, heightMm } : undefined,
  };
}
