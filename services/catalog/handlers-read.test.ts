import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Product_State } from "#gen/shop/catalog/v1/product.ts";
import { newId } from "#mesh/ids.ts";
import { encodePageToken } from "#mesh/rpc/page-token.ts";
import { categoryPart, inputOf, startTestCatalog, type TestCatalog } from "./testing/catalog.ts";
import { content, variant } from "./testing/content.ts";

let catalog: TestCatalog;

beforeAll(async () => {
  catalog = await startTestCatalog();
});
afterAll(() => catalog.close());

const anonymous = () => catalog.shop.call();

describe("GetProduct", () => {
  const full = content("full-1", {
    title: 'All "of" it \\ ✓',
    description: "Line one.\nLine two.",
    attributes: [
      { name: "Z", value: "first" },
      { name: "A", value: "second" },
    ],
    variants: [
      variant("FULL-B", { title: "B", priceMinor: 1_000_000_000n, attributes: [{ name: "Brake", value: "yes" }] }),
      variant("FULL-A", { priceMinor: 0n, weightGrams: 0, dimensions: undefined }),
    ],
  });

  test("gives the whole product, by id and by the SKU of any variant", async () => {
    const created = await catalog.create(full);
    expect(created).toEqual({
      ...inputOf(full),
      id: expect.stringMatching(/^prd_[0-9a-z]{26}$/),
      state: Product_State.ACTIVE,
      createTime: catalog.clock.now(),
      updateTime: catalog.clock.now(),
      etag: "1",
    });
    const keys = [
      { $case: "productId", value: created.id },
      { $case: "sku", value: "FULL-A" },
      { $case: "sku", value: "FULL-B" },
    ] as const;
    for (const key of keys) expect(await catalog.anyone.getProduct({ key }, anonymous())).toEqual({ product: created });
  });

  test.each([
    { $case: "productId", value: newId("prd") },
    { $case: "productId", value: "no id at all" },
    { $case: "sku", value: "NOT-THERE" },
    { $case: "sku", value: "full-a" },
  ] as const)("says that there is none: %j", async (key) => {
    const failed = catalog.anyone.getProduct({ key }, anonymous());
    await expect(failed).rejects.toMatchObject({ code: "NOT_FOUND", reason: "PRODUCT_NOT_FOUND" });
  });
});

describe("BatchGetVariants", () => {
  test("gives those it has and names the others, in the order asked", async () => {
    const one = await catalog.create(content("b-1", { title: "One", variants: [variant("B-1"), variant("B-2")] }));
    const two = await catalog.create(content("b-3"));
    await catalog.operator.archiveProduct(
      { requestId: newId("req"), productId: two.id, etag: "" },
      catalog.asOperator(),
    );
    const skus = ["NOPE", "B-3", "B-2", "no", "B-1"];
    const found = await catalog.anyone.batchGetVariants({ skus }, anonymous());
    expect(found.unknownSkus).toEqual(["NOPE", "no"]);
    const told = found.variants.map(({ variant: one, productId, productTitle, purchasable }) => [
      ...[one?.sku, one?.price?.minorUnits, productId, productTitle, purchasable],
    ]);
    expect(told).toEqual([
      ["B-3", 19_900n, two.id, "Product b-3", false],
      ["B-2", 19_900n, one.id, "One", true],
      ["B-1", 19_900n, one.id, "One", true],
    ]);
  });

  test("takes one hundred SKUs and no more", async () => {
    const skus = Array.from({ length: 101 }, (_, at) => `X-${at}`);
    const { unknownSkus } = await catalog.anyone.batchGetVariants({ skus: skus.slice(0, 100) }, anonymous());
    expect(unknownSkus).toHaveLength(100);
    const failed = catalog.anyone.batchGetVariants({ skus }, anonymous());
    await expect(failed).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  });
});

describe("ListProducts", () => {
  beforeAll(async () => {
    await catalog.importRows([
      categoryPart("list", "List"),
      categoryPart("list-left", "Left", "list"),
      categoryPart("list-leaf", "Leaf", "list-left"),
      categoryPart("list-right", "Right", "list"),
      categoryPart("list-none", "None", "list"),
    ]);
    // By code point: capital letters come before small ones. Two have the same title.
    for (const [key, title, categorySlug] of [
      ["l-1", "b", "list-leaf"],
      ["l-2", "Z", "list-right"],
      ["l-3", "a", "list"],
      ["l-4", "b", "list-left"],
      ["l-5", "é", "list-right"],
    ] as const) {
      await catalog.create(content(key, { title, categorySlug }));
    }
    const { id } = await catalog.create(content("l-6", { title: "b", categorySlug: "list" }));
    await catalog.operator.archiveProduct({ requestId: newId("req"), productId: id, etag: "" }, catalog.asOperator());
  });

  const list = (categorySlug: string, pageSize = 0, pageToken = "") =>
    catalog.anyone.listProducts({ categorySlug, pageSize, pageToken }, anonymous());
  const keys = (page: Awaited<ReturnType<typeof list>>) => page.products.map((product) => product.externalKey);

  test("lists what is for sale in a category and below it, by title and then by id", async () => {
    expect(keys(await list("list"))).toEqual(["l-2", "l-3", "l-1", "l-4", "l-5"]);
    expect(keys(await list("list-left"))).toEqual(["l-1", "l-4"]);
    expect(keys(await list("list-none"))).toEqual([]);
    expect(keys(await list(""))).toEqual(expect.arrayContaining(["l-2", "l-3", "l-1", "l-4", "l-5"]));
    expect(keys(await list(""))).not.toContain("l-6");
  });

  test.each(["list", ""])("pages through %j without a gap, while products are added", async (categorySlug) => {
    const before = keys(await list(categorySlug, 100));
    const seen: string[] = [];
    let token = "";
    do {
      const page = await list(categorySlug, 2, token);
      expect(page.products.length).toBeLessThanOrEqual(2);
      seen.push(...keys(page));
      token = page.nextPageToken;
      await catalog.create(content(newId("k").replace("_", "-"), { title: "A first", categorySlug: "list-right" }));
      await catalog.create(content(newId("k").replace("_", "-"), { title: "b", categorySlug: "list-leaf" }));
      // Some come behind the page and are never seen, others before it; the test ends all the same.
    } while (token !== "" && seen.length < 200);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((key) => before.includes(key))).toEqual(before);
  });

  test("goes on behind a title that a token has no room for", async () => {
    await catalog.importRows([categoryPart("long", "Long")]);
    const titles = ["x", "y", "z"].map((end) => `${"𐐷".repeat(199)}${end}`);
    for (const [at, title] of titles.entries()) {
      await catalog.create(content(`long-${at}`, { title, categorySlug: "long" }));
    }
    const first = await list("long", 2);
    expect(first.nextPageToken.length).toBeLessThanOrEqual(1024);
    expect(keys(await list("long", 2, first.nextPageToken))).toEqual(["long-2"]);
  });

  test.each(["nowhere", "no/where"])("says that there is no category %j", async (categorySlug) => {
    await expect(list(categorySlug)).rejects.toMatchObject({
      code: "NOT_FOUND",
      reason: "CATEGORY_NOT_FOUND",
      metadata: { category_slug: categorySlug },
    });
  });

  test("takes no token that it did not make for the filter", async () => {
    const { nextPageToken } = await list("list", 1);
    const forged = [
      encodePageToken(["ListProducts", "list"], { id: "a" }),
      encodePageToken(["ListProducts", "list"], []),
      encodePageToken(["ListProducts", "list"], ["a", 1]),
      encodePageToken(["ListProducts", "list"], ["a\u0000", "b"]),
    ];
    for (const token of ["x", "AAAA", nextPageToken.slice(1), ...forged]) {
      await expect(list("list", 1, token), token).rejects.toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
    }
    await expect(list("list-left", 1, nextPageToken)).rejects.toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
    await expect(list("list", 101)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  });
});

describe("ListCategories", () => {
  const list = (pageSize = 0, pageToken = "") => catalog.anyone.listCategories({ pageSize, pageToken }, anonymous());

  test("lists all, by slug, in pages that stay whole while some are added", async () => {
    await catalog.importRows([categoryPart("c-b", "B"), categoryPart("c-a", "A", "c-b"), categoryPart("c-c", "C")]);
    const before = (await list()).categories;
    expect(before).toContainEqual({ slug: "c-a", title: "A", parentSlug: "c-b" });
    expect(before.map(({ slug }) => slug)).toEqual(before.map(({ slug }) => slug).toSorted());
    const seen: string[] = [];
    for (let token: string | undefined; token !== ""; ) {
      const page = await list(2, token);
      seen.push(...page.categories.map(({ slug }) => slug));
      token = page.nextPageToken;
      await catalog.importRows([categoryPart(`a-${seen.length}`, "Behind")]);
    }
    expect(seen).toEqual(before.map(({ slug }) => slug));
  });

  test("takes no token of another method's", async () => {
    const page = await catalog.anyone.listProducts({ categorySlug: "", pageSize: 1, pageToken: "" }, anonymous());
    const forged = encodePageToken(["ListCategories"], 7);
    for (const token of [page.nextPageToken, forged, encodePageToken(["ListCategories"], "\u0000")]) {
      await expect(list(2, token)).rejects.toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
    }
  });
});
