import type { Queryable } from "#mesh/postgres/index.ts";
import type { Category } from "./domain-categories.ts";
import { textOf } from "./domain-search.ts";

const LIST_CATEGORIES = `
  select slug, title, parent_slug as "parentSlug" from categories
  where slug > $1 order by slug limit $2`;

/** Categories after `afterSlug`, by slug. */
export async function listCategories(
  db: Queryable,
  page: { readonly afterSlug: string; readonly limit: number },
): Promise<readonly Category[]> {
  const rows = await db.query<StoredCategory>(LIST_CATEGORIES, [page.afterSlug, page.limit]);
  return rows.map(categoryOf);
}

const CATEGORY_EXISTS = "select 1 as found from categories where slug = $1";

/** Whether there is a category of this slug. */
export async function categoryExists(db: Queryable, slug: string): Promise<boolean> {
  return (await db.query(CATEGORY_EXISTS, [slug])).length > 0;
}

// Two moves at once could make a cycle that neither sees, so the tree has one writer at a time. Readers, and products
// that refer to a category, go on.
const LOCK_TREE = "lock table categories in share row exclusive mode";

// By slug, as writers of products hold them.
const LOCK_BRANCHES = `
  select slug, title, parent_slug as "parentSlug" from categories
  where path && $1 or slug in (select unnest(c.path) from categories c where c.slug = any($1))
  order by slug for no key update`;

/** The categories of these slugs that exist, with all above and below them; locked, and the tree with them. */
export async function lockBranches(tx: Queryable, slugs: readonly string[]): Promise<readonly Category[]> {
  const [, rows] = await Promise.all([tx.query(LOCK_TREE), tx.query<StoredCategory>(LOCK_BRANCHES, [slugs])]);
  return rows.map(categoryOf);
}

const WRITE_CATEGORIES = `
  insert into categories (slug, title, parent_slug, words, path, search)
  select r.slug, r.title, r."parentSlug", r.words, '{}', ''
  from jsonb_to_recordset($1::jsonb) as r (slug text, title text, "parentSlug" text, words text)
  on conflict (slug) do update
  set title = excluded.title, parent_slug = excluded.parent_slug, words = excluded.words`;

// From the categories that were written down to all below them, and from each of those up to the top.
const PLACE_CATEGORIES = `
  with recursive affected (slug) as (
    select unnest($1::text[]) collate "C"
    union
    select c.slug from categories c join affected on c.parent_slug = affected.slug
  ), up (category, slug, words, parent_slug, level) as (
    select c.slug, c.slug, c.words, c.parent_slug, 0 from categories c join affected on affected.slug = c.slug
    union all
    select up.category, c.slug, c.words, c.parent_slug, up.level + 1
    from up join categories c on c.slug = up.parent_slug
  ), placed as (
    select category, array_agg(slug order by level desc) as path,
      words_vector(string_agg(words, ' ' order by level desc), 'B')
        || setweight(string_agg('''/' || slug || ''':1', ' ' order by level desc)::tsvector, 'B') as search
    from up group by category
  )
  update categories c
  set path = placed.path, search = placed.search,
    search_version = c.search_version + case when c.search = placed.search then 0 else 1 end
  from placed where c.slug = placed.category`;

/**
 * Adds or replaces categories, and places them and all below them. The tree must be locked, and stay one. What their
 * products are found by is then to be brought up: see reindex.ts.
 */
export async function writeCategories(tx: Queryable, categories: readonly Category[]): Promise<void> {
  if (categories.length === 0) return;
  const rows = categories.map((category) => ({ ...category, words: textOf([category.title]) }));
  await tx.query(WRITE_CATEGORIES, [JSON.stringify(rows)]);
  await tx.query(PLACE_CATEGORIES, [categories.map((category) => category.slug)]);
}

interface StoredCategory {
  readonly slug: string;
  readonly title: string;
  readonly parentSlug: string | null;
}

function categoryOf({ slug, title, parentSlug }: StoredCategory): Category {
  return { slug, title, parentSlug: parentSlug ?? undefined };
}
