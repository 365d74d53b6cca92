import type { Queryable } from "#mesh/postgres/index.ts";

/** A category whose products' search entries may not all have what this version of it gives to them. */
export interface CategoryToIndex {
  readonly slug: string;
  readonly searchVersion: number;
}

const NEXT_TO_INDEX = `
  select slug, search_version as "searchVersion" from categories
  where indexed_version < search_version order by slug limit 1`;

/** The next category to work on, if there is one. */
export async function nextToIndex(db: Queryable): Promise<CategoryToIndex | undefined> {
  const [row] = await db.query<CategoryToIndex>(NEXT_TO_INDEX);
  return row;
}

const LOCK_ENTRIES = `
  select product_id as id from product_search
  where category_slug = $1 and product_id > $2
  order by product_id limit $3 for update`;

// Weight B is the category's alone: what it gave before goes, what it gives now comes.
const INDEX_ENTRIES = `
  update product_search s
  set search = ts_filter(s.search, '{a,c,d}') || c.search
  from categories c
  where s.product_id = any($1) and c.slug = s.category_slug
    and s.search <> ts_filter(s.search, '{a,c,d}') || c.search`;

/** Brings up the next entries of a category after a product, in the order of products; returns which they were. */
export async function indexEntries(
  tx: Queryable,
  batch: { readonly slug: string; readonly afterId: string; readonly limit: number },
): Promise<readonly string[]> {
  const rows = await tx.query<{ readonly id: string }>(LOCK_ENTRIES, [batch.slug, batch.afterId, batch.limit]);
  const ids = rows.map((row) => row.id);
  if (ids.length > 0) await tx.query(INDEX_ENTRIES, [ids]);
  return ids;
}

const MARK_INDEXED = "update categories set indexed_version = $2 where slug = $1 and indexed_version < $2";

/** Notes that all entries of a category have at least what this version of it gives. */
export async function markIndexed(db: Queryable, category: CategoryToIndex): Promise<void> {
  await db.query(MARK_INDEXED, [category.slug, category.searchVersion]);
}
