import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import {
  categoryPart,
  headerPart,
  inputOf,
  type Part,
  productPart,
  startTestCatalog,
  type TestCatalog,
} from "./testing/catalog.ts";
import { content, variant } from "./testing/content.ts";

let catalog: TestCatalog;

beforeAll(async () => {
  catalog = await startTestCatalog();
});
afterAll(() => catalog.close());

const bySku = async (sku: string) => {
  const key = { $case: "sku", value: sku } as const;
  const result = await catalog.anyone.try.getProduct({ key }, catalog.shop.call());
  return result.ok ? result.value.product : undefined;
};

const counts = { createdCount: 0, updatedCount: 0, unchangedCount: 0, failedCount: 0, errors: [] };

describe("an import", () => {
  const rows = [
    categoryPart("tools", "Tools"),
    categoryPart("drills", "Drills", "tools"),
    productPart(content("drill-1", { categorySlug: "drills", attributes: [{ name: "Power", value: "500 W" }] })),
    productPart(content("drill-2", { categorySlug: "drills", variants: [variant("D2-A"), variant("D2-B")] })),
  ];

  test("adds what is new, and finds it unchanged the second time", async () => {
    expect(await catalog.importRows(rows)).toEqual({ ...counts, createdCount: 4 });
    const before = await bySku("DRILL-1");
    catalog.clock.advance(60_000);
    expect(await catalog.importRows(rows)).toEqual({ ...counts, unchangedCount: 4 });
    expect(await bySku("DRILL-1")).toEqual(before);
  });

  test("writes nothing for rows that are there just so", async () => {
    const written = async () =>
      catalog.db.query<{ table: string; row: string }>(
        `select 'product' as table, xmin::text || xmax::text as row from products
         union all select 'variant', xmin::text || xmax::text from variants
         union all select 'search', xmin::text || xmax::text from product_search
         union all select 'category', xmin::text from categories order by 1, 2`,
      );
    const before = await written();
    await catalog.importRows(rows);
    expect(await written()).toEqual(before);
  });

  test("replaces what it knows, variants too", async () => {
    const changed = content("drill-2", { title: "Better", variants: [variant("D2-B"), variant("D2-C")] });
    expect(await catalog.importRows([categoryPart("drills", "Power drills", "tools"), productPart(changed)])).toEqual({
      ...counts,
      updatedCount: 2,
    });
    expect(await bySku("D2-C")).toMatchObject({ ...inputOf(changed), etag: "2" });
    expect(await bySku("D2-A")).toBeUndefined();
  });

  test("takes the last word on a key, and the first on a SKU", async () => {
    const report = await catalog.importRows([
      productPart(content("twice", { title: "First", variants: [variant("TW-1")] })),
      productPart(content("twice", { title: "Second", variants: [variant("TW-1")] })),
      productPart(content("other", { variants: [variant("TW-1")] })),
      productPart(content("another", { variants: [variant("TW-2")] })),
    ]);
    expect(report).toMatchObject({ createdCount: 2, updatedCount: 1, failedCount: 1 });
    expect(report.errors).toMatchObject([{ row: 3, key: "other", reason: "SKU_TAKEN" }]);
    expect(await bySku("TW-1")).toMatchObject({ title: "Second", externalKey: "twice" });
  });
});

describe("a row that fails", () => {
  test("is told of, and the others go in", async () => {
    await catalog.create(content("owner", { variants: [variant("OWNED")] }));
    const archived = await catalog.create(content("archived"));
    const request = { requestId: newId("req"), productId: archived.id, etag: "" };
    await catalog.operator.archiveProduct(request, catalog.asOperator());
    const report = await catalog.importRows([
      productPart(content("good-1")),
      productPart(content("bad rule", { title: "", variants: [variant("lower")] })),
      productPart(content("lost", { categorySlug: "nowhere" })),
      productPart(content("thief", { variants: [variant("THIEF"), variant("OWNED")] })),
      productPart(content("usd", { variants: [variant("USD-1", { currencyCode: "USD" })] })),
      productPart(content("negative", { variants: [variant("NEG", { priceMinor: -1n })] })),
      productPart(content("archived")),
      productPart(content("good-2")),
    ]);
    expect(report).toMatchObject({ createdCount: 2, failedCount: 6 });
    const told = report.errors.map(({ row, key, reason, violations }) => [
      ...[row, key, reason],
      ...violations.map(({ field }) => field),
    ]);
    expect(told).toEqual([
      [2, "bad rule", "INVALID_REQUEST", "external_key", "title", "variants[0].sku"],
      [3, "lost", "CATEGORY_NOT_FOUND"],
      [4, "thief", "SKU_TAKEN"],
      [5, "usd", "CURRENCY_NOT_SUPPORTED"],
      [6, "negative", "INVALID_REQUEST", "variants[0].price.minor_units"],
      [7, "archived", "PRODUCT_ARCHIVED"],
    ]);
    for (const { message } of report.errors) expect(message).not.toBe("");
    expect(await bySku("GOOD-1")).toBeDefined();
    expect(await bySku("GOOD-2")).toBeDefined();
    expect(await bySku("THIEF")).toBeUndefined();
  });

  test("may be a category", async () => {
    const report = await catalog.importRows([
      categoryPart("Bad Slug", "x"),
      categoryPart("orphan", "x", "nowhere"),
      categoryPart("knot", "x"),
      categoryPart("knot-below", "x", "knot"),
      categoryPart("knot", "x", "knot-below"),
      categoryPart("untitled", ""),
    ]);
    expect(report).toMatchObject({ createdCount: 2, failedCount: 4 });
    const told = report.errors.map(({ row, key, reason, violations }) => [row, key, reason, violations[0]?.field]);
    expect(told).toEqual([
      [1, "Bad Slug", "INVALID_REQUEST", "slug"],
      [2, "orphan", "CATEGORY_NOT_FOUND", undefined],
      [5, "knot", "INVALID_REQUEST", "parent_slug"],
      [6, "untitled", "INVALID_REQUEST", "title"],
    ]);
  });

  test("is counted beyond the first thousand, and told of no more", async () => {
    const rows = Array.from({ length: 1_100 }, (_, at) => productPart(content(`bad-${at}`, { title: "" })));
    const report = await catalog.importRows([...rows, productPart(content("after-them"))]);
    expect(report).toMatchObject({ createdCount: 1, failedCount: 1_100 });
    expect(report.errors.map(({ row }) => row)).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
  });
});

describe("the header", () => {
  test.each([
    ["is missing", [productPart(content("headless"))]],
    ["comes late", [productPart(content("headless")), headerPart()]],
    ["comes twice", [headerPart(), headerPart()]],
    ["comes again at the end", [headerPart(), productPart(content("headed")), headerPart()]],
    ["is all that is missing", []],
  ] as const)("%s", async (_, parts) => {
    const failed = catalog.importParts(parts);
    await expect(failed).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "IMPORT_HEADER_MISPLACED" });
    expect(await bySku("HEADLESS")).toBeUndefined();
  });

  test("keeps its own rules", async () => {
    const parts: readonly Part[] = [{ $case: "header", value: { requestId: "short" } }];
    await expect(catalog.importParts(parts)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  });
});

describe("a long import", () => {
  const many = (size: number, title: string) =>
    Array.from({ length: size }, (_, at) => productPart(content(`long-${at}`, { title: `${title} ${at}` })));

  test("goes in batch by batch", async () => {
    expect(await catalog.importRows(many(950, "Long"))).toEqual({ ...counts, createdCount: 950 });
    expect(await catalog.importRows(many(1_000, "Long"))).toEqual({
      ...counts,
      createdCount: 50,
      unchangedCount: 950,
    });
    const { products } = await catalog.anyone.searchProducts(
      { query: "long 999", categorySlug: "motors", pageSize: 0, pageToken: "" },
      catalog.shop.call(),
    );
    expect(products.map(({ externalKey }) => externalKey)).toEqual(["long-999"]);
  });

  test("that breaks off leaves whole rows, and is right when sent again", async () => {
    async function* breaking() {
      yield headerPart();
      yield* many(250, "Broken");
      throw new Error("the sender gave up");
    }
    await expect(catalog.importParts(breaking())).rejects.toThrow();
    const report = await catalog.importRows(many(250, "Broken"));
    expect(report.updatedCount + report.unchangedCount).toBe(250);
    expect(await catalog.importRows(many(250, "Broken"))).toEqual({ ...counts, unchangedCount: 250 });
  });

  test.each([0, 1, 2])("gets in nobody's way who imports the same (%i)", async (round) => {
    const rows = many(400, `Round ${round}`);
    const shuffled = [rows, rows.toReversed(), [...rows.slice(200), ...rows.slice(0, 200)], rows];
    const reports = await Promise.all(shuffled.map((one) => catalog.importRows(one)));
    for (const report of reports) expect(report).toMatchObject({ createdCount: 0, failedCount: 0 });
    // Each row was changed by one of them, and was as wished for the others.
    expect(reports.reduce((sum, report) => sum + report.updatedCount, 0)).toBe(400);
    expect(catalog.retries()).toBe(0);
  });
});
