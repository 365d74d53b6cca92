import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { reindexCategories } from "./reindex.ts";
import { lockBranches, writeCategories } from "./store-categories.ts";
import { indexEntries, markIndexed, nextToIndex } from "./store-reindex.ts";
import { searchProducts } from "./store-search.ts";
import { categoryPart, productPart, startTestCatalog, type TestCatalog } from "./testing/catalog.ts";
import { content } from "./testing/content.ts";

/** More than one transaction takes. */
const PRODUCTS = 620;

let catalog: TestCatalog;
const open = () => new AbortController().signal;

beforeAll(async () => {
  catalog = await startTestCatalog();
  await catalog.importRows([
    categoryPart("above", "Above"),
    categoryPart("below", "Below", "above"),
    ...Array.from({ length: PRODUCTS }, (_, at) => productPart(content(`p-${at}`, { categorySlug: "below" }))),
  ]);
});
afterAll(() => catalog.close());

/** Renames a category, and does not bring the search entries up. */
async function rename(slug: string, title: string, parentSlug?: string): Promise<void> {
  await catalog.db.transaction(async (tx) => {
    await lockBranches(tx, [slug]);
    await writeCategories(tx, [{ slug, title, parentSlug }]);
  });
}

const matches = async (word: string) =>
  (await searchProducts(catalog.db, { words: [word], categorySlug: undefined, after: undefined, limit: 1_000 })).length;

describe("when a category was renamed", () => {
  beforeEach(() => rename("above", "Above").then(() => reindexCategories(catalog.db, open())));

  test("its products and those below it are found by the new title, once they are brought up", async () => {
    await rename("above", "Upstairs");
    expect(await matches("upstairs")).toBe(0);
    expect(await reindexCategories(catalog.db, open())).toBe(PRODUCTS);
    expect([await matches("upstairs"), await matches("above"), await matches("below")]).toEqual([
      PRODUCTS,
      0,
      PRODUCTS,
    ]);
    expect(await reindexCategories(catalog.db, open())).toBe(0);
  });

  test("what one leaves undone is done by the next", async () => {
    await rename("above", "Upstairs");
    await expect(reindexCategories(catalog.db, AbortSignal.abort())).rejects.toThrow();
    // As when the process was killed between two batches.
    await catalog.db.transaction((tx) => indexEntries(tx, { slug: "below", afterId: "", limit: 100 }));
    expect(await matches("upstairs")).toBe(100);
    await reindexCategories(catalog.db, open());
    expect(await matches("upstairs")).toBe(PRODUCTS);
  });

  test("one that is renamed again meanwhile stays marked", async () => {
    await rename("below", "First", "above");
    const first = await nextToIndex(catalog.db);
    if (first === undefined) throw new Error("nothing is to be indexed");
    await rename("below", "Second", "above");
    await markIndexed(catalog.db, first);
    expect(await nextToIndex(catalog.db)).toEqual({ slug: "below", searchVersion: first.searchVersion + 1 });
    await reindexCategories(catalog.db, open());
    expect(await matches("second")).toBe(PRODUCTS);
    await rename("below", "Below", "above");
  });

  test("any number may do it at once", async () => {
    await rename("above", "Upstairs");
    await Promise.all([1, 2, 3].map(() => reindexCategories(catalog.db, open())));
    expect(await matches("upstairs")).toBe(PRODUCTS);
    expect(await nextToIndex(catalog.db)).toBeUndefined();
    expect(catalog.retries()).toBe(0);
  });
});
