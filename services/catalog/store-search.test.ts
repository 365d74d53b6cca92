import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { MAX_RANK, MAX_RANKED, type SearchPosition, searchProducts } from "./store-search.ts";

let database: TestDatabase;

// As the import writes them, but many at once: the word `common` in the descriptions of more products than are ranked,
// and, added last, in the titles of three.
const FILL = `
  with category as (
    insert into categories (slug, title, path, words, search)
    values ('things', 'Things', '{things}', 'things', words_vector('things', 'B')) returning slug
  ), product as (
    insert into products (id, external_key, title, description, category_slug, attributes, create_time, update_time)
    select 'prd_' || n, 'key-' || n, case when n > $1 then 'Common' else 'Other' end || ' ' || n, 'common', slug, '[]',
      now(), now()
    from generate_series(1, $1::int + 3) n, category
    returning id, title, description, category_slug
  )
  insert into product_search (product_id, category_slug, search)
  select id, category_slug,
    words_vector(lower(title), 'A') || words_vector(description, 'D') || words_vector('things', 'B')
  from product order by length(id), id`;

beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  await database.db.query(FILL, [MAX_RANKED + 500]);
  await database.db.query("analyze product_search");
});
afterAll(() => database.close());

const find = (words: readonly string[], limit: number, after?: SearchPosition) =>
  searchProducts(database.db, { words, categorySlug: undefined, after, limit });

describe("a query that more products match than are ranked", () => {
  test("still gives the best of all first", async () => {
    const titles = (await find(["common"], 4)).map(({ product }) => product.title);
    expect(titles.slice(0, 3).toSorted()).toEqual([1, 2, 3].map((n) => `Common ${MAX_RANKED + 500 + n}`));
    expect(titles[3]).toMatch(/^Other/);
  });

  test("gives as many as are ranked, none twice, and ends", async () => {
    const seen = new Set<string>();
    let after: SearchPosition | undefined;
    for (;;) {
      const page = await find(["common"], 500, after);
      for (const { product } of page) {
        expect(seen.has(product.id)).toBe(false);
        seen.add(product.id);
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = { rank: last.rank, id: last.product.id };
    }
    expect(seen.size).toBeGreaterThanOrEqual(MAX_RANKED);
    expect(seen.size).toBeLessThanOrEqual(2 * MAX_RANKED);
  });

  test("loses none of those that a further word leaves", async () => {
    expect((await find(["common", "2345"], 10)).map(({ product }) => product.title)).toEqual(["Other 2345"]);
  });
});

test("a rank beyond all bounds is still a whole number", async () => {
  // 10,000 words that begin with the same letter, each of the highest weight.
  const [row] = await database.db.query<{ rank: number }>(
    `select ts_rank(words_vector(string_agg('a' || n, ' '), 'A'), 'a:*'::tsquery) as rank
     from generate_series(1, 10000) n`,
  );
  expect(row?.rank).toBeGreaterThan(1_000);
  await database.db.query(
    `update product_search set search = search || (
       select words_vector(string_agg('zz' || n, ' '), 'A') from generate_series(1, 16000) n)
     where product_id = 'prd_1'`,
  );
  expect((await find(["zz"], 1)).map(({ rank }) => rank)).toEqual([MAX_RANK]);
});
