import type { Queryable } from "#mesh/postgres/index.ts";
import type { Product } from "./domain.ts";
import { PRODUCT, productOf, type StoredProduct } from "./store.ts";

/**
 * How many matches are ranked, of each of two kinds: first those by title, SKU and category alone, which rank highest;
 * then, if those are fewer, those by anything. A query with up to so many matches is answered whole and in its true
 * order. Of one with more, products beyond the bound, in no particular order, are not shown at all: nobody turns a
 * hundred pages, and ranking every match of a word that half the catalogue has would take seconds.
 */
export const MAX_RANKED = 2_000;

/**
 * The highest rank, in millionths. A match of one word is at most 1, but the beginning of a word adds up over all the
 * words of a product that begin so; 2,000 times as much is more than the longest texts come to.
 */
export const MAX_RANK = 2_000_000_000;

/** Where a page of matches ends. The rank is a whole number of millionths, so it compares exactly. */
export interface SearchPosition {
  readonly rank: number;
  readonly id: string;
}

export interface Match {
  readonly rank: number;
  readonly product: Product;
}

// `$1` are words of letters and digits (domain-search.ts), so that none is more than a word in the query that is put
// together here; what is quoted is quoted all the same. The category's marker is made of a slug that is there, and not
// of `$2`. A word that means nothing by itself (`the`) is left out, unless there is no other.
//
// Both indexes are searched with a query that the planner cannot see, so it takes them whatever the query is.
const SEARCH_PRODUCTS = `
  with word as materialized (
    select w.word, w.place = cardinality($1::text[]) as last, plainto_tsquery('english', w.word) as stem
    from unnest($1::text[]) with ordinality as w (word, place)
  ), term as (
    select case
      when last then stem || ('''' || replace(replace(word, '\\', '\\\\'), '''', '''''') || ''':*')::tsquery
      else stem
    end as query
    from word
    where numnode(stem) > 0 or (last and not exists (select from word other where numnode(other.stem) > 0))
  ), wanted as materialized (
    select string_agg('(' || query::text || ')', ' & ')::tsquery as words from term
  ), filtered as materialized (
    select case
      when $2::text is null then words
      else words && (select ('''/' || slug || '''')::tsquery from categories where slug = $2)
    end as query
    from wanted
  ), best as materialized (
    select s.product_id, s.search from product_search s
    where ts_filter(s.search, '{a,b}') @@ (select query from filtered)
    limit ${MAX_RANKED}
  ), other as (
    select s.product_id, s.search from product_search s
    where (select count(*) from best) < ${MAX_RANKED} and s.search @@ (select query from filtered)
    limit ${MAX_RANKED}
  ), candidate as (
    select product_id, search from best
    union all
    select product_id, search from other where not exists (select from best where best.product_id = other.product_id)
  ), ranked as (
    select product_id as id, (least(ts_rank(search, (select words from wanted)), ${MAX_RANK / 1e6}) * 1000000)::int as rank
    from candidate
  ), page as (
    select id, rank from ranked
    where $3::int is null or rank < $3 or (rank = $3 and id > $4)
    order by rank desc, id limit $5
  )
  select page.rank, ${PRODUCT}
  from page join products p on p.id = page.id
  order by page.rank desc, page.id`;

/** Active products that have all the words, the last of which may be the beginning of one; the best match first. */
export async function searchProducts(
  db: Queryable,
  search: {
    /** Lower-case words of letters and digits. */
    readonly words: readonly string[];
    /** Only of this category and below it. */
    readonly categorySlug: string | undefined;
    readonly after: SearchPosition | undefined;
    readonly limit: number;
  },
): Promise<readonly Match[]> {
  const { words, categorySlug, after, limit } = search;
  const rows = await db.query<StoredProduct & { readonly rank: number }>(SEARCH_PRODUCTS, [
    words,
    categorySlug,
    after?.rank,
    after?.id,
    limit,
  ]);
  return rows.map((row) => ({ rank: row.rank, product: productOf(row) }));
}
