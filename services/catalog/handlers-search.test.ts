import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import { encodePageToken } from "#mesh/rpc/page-token.ts";
import { categoryPart, inputOf, productPart, startTestCatalog, type TestCatalog } from "./testing/catalog.ts";
import { content, variant } from "./testing/content.ts";

let catalog: TestCatalog;

beforeAll(async () => {
  catalog = await startTestCatalog();
  const report = await catalog.importRows([
    categoryPart("drives", "Servo amplifiers"),
    categoryPart("gearing", "Planetary gearboxes"),
    categoryPart("brushless", "Brushless", "motors"),
    productPart(
      content("ec-45", {
        title: "EC 45 flat",
        description: "Quiet, and made for robots. Präzision.",
        categorySlug: "brushless",
        attributes: [{ name: "Rated torque", value: "0.32 Nm" }],
        variants: [
          variant("EC45-24-170", { title: "with brake", attributes: [{ name: "Voltage", value: "24 V" }] }),
          variant("EC45-48-170"),
        ],
      }),
    ),
    productPart(content("gp-42", { title: "GP 42 reducer", categorySlug: "gearing", description: "For robots too." })),
    productPart(content("esc-5", { title: "Robot controller", categorySlug: "drives" })),
    productPart(content("old-1", { title: "Obsolete robot" })),
  ]);
  if (report.failedCount > 0) throw new Error(JSON.stringify(report.errors));
  const key = { $case: "sku", value: "OLD-1" } as const;
  const { product } = await catalog.anyone.getProduct({ key }, catalog.shop.call());
  const request = { requestId: newId("req"), productId: product?.id ?? "", etag: "" };
  await catalog.operator.archiveProduct(request, catalog.asOperator());
});
afterAll(() => catalog.close());

const search = (query: string, given: { categorySlug?: string; pageSize?: number; pageToken?: string } = {}) =>
  catalog.anyone.searchProducts({ query, categorySlug: "", pageSize: 0, pageToken: "", ...given }, catalog.shop.call());
const find = async (...args: Parameters<typeof search>) =>
  (await search(...args)).products.map((product) => product.externalKey);

describe("a search finds", () => {
  test.each([
    ["a title", "EC 45 flat"],
    ["part of a title", "flat"],
    ["a description", "quiet"],
    ["a stem", "quietly robot"],
    ["letters that are not English", "PRÄZISION"],
    ["an attribute's name", "torque rated"],
    ["an attribute's value", "0.32 Nm"],
    ["a variant's title", "brake"],
    ["a variant's attribute", "24 V brake"],
    ["a SKU", "EC45-24-170"],
    ["a SKU in small letters", "ec45-48-170"],
    ["the beginning of a SKU", "EC45-4"],
    ["a category", "brushless"],
    ["the category above", "motors"],
    ["the beginning of the last word", "flat robo"],
    ["one letter of it", "flat r"],
    ["the beginning of a word whose stem is shorter", "flat brushle"],
    ["words from everywhere, in any order", "robots brushless nm flat ec45"],
    ["words among which some mean nothing", "the flat of the"],
  ])("%s: %s", async (_, query) => {
    expect(await find(query)).toEqual(["ec-45"]);
  });

  test.each(["flat gearbox", "fla 45", "robots -flat xyz", "EC45-24-171", "nothing", "motor | gearbox | servo"])(
    "nothing for %j: every word must be there",
    async (query) => {
      expect(await find(query)).toEqual([]);
    },
  );

  test("the best match first: a title before a description", async () => {
    expect(await find("robot")).toEqual(["esc-5", expect.anything(), expect.anything()]);
    expect((await find("robot")).toSorted()).toEqual(["ec-45", "esc-5", "gp-42"]);
  });

  test("only what is below a category, where one is given", async () => {
    expect(await find("robot", { categorySlug: "motors" })).toEqual(["ec-45"]);
    expect(await find("robot", { categorySlug: "brushless" })).toEqual(["ec-45"]);
    expect(await find("reducer", { categorySlug: "motors" })).toEqual([]);
    for (const categorySlug of ["nowhere", "' | '/motors"]) {
      const failed = search("robot", { categorySlug });
      await expect(failed).rejects.toMatchObject({ code: "NOT_FOUND", reason: "CATEGORY_NOT_FOUND" });
    }
  });

  test("nothing that is archived", async () => {
    expect(await find("obsolete")).toEqual([]);
  });
});

describe("a query means nothing but its words:", () => {
  test.each([
    "' \" \\ flat",
    "flat & ! | ( ) <-> :* :A",
    "flat ⚡🔋",
    "'flat':*",
    "$flat",
    "flat \\' || '",
    "<45>flat</45>",
    "flat /",
    "％flat＿",
  ])("%j", async (query) => {
    expect(await find(query)).toEqual(["ec-45"]);
  });

  test.each(["'", "& | !", "🔋", "/motors", "/ brushless-", ".", "a".repeat(200), "é ".repeat(100), "ﷺ".repeat(200)])(
    "%j fails nothing",
    async (query) => {
      expect(Array.isArray(await find(query))).toBe(true);
    },
  );

  test("and there must be a query, of 200 characters at most, none of which is NUL", async () => {
    for (const query of ["", "a".repeat(201), "a\u0000b"]) {
      await expect(search(query)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    }
  });
});

describe("what is found follows", () => {
  test("a change of the product", async () => {
    const product = await catalog.create(content("follow", { title: "Alpha", variants: [variant("FOL-OLD")] }));
    expect(await find("alpha")).toEqual(["follow"]);
    const wanted = content("follow", { title: "Beta", variants: [variant("FOL-NEW")], categorySlug: "gearing" });
    const request = {
      ...{ requestId: newId("req"), productId: product.id, etag: "", product: inputOf(wanted) },
      updateMask: ["title", "variants", "category_slug"],
    };
    await catalog.operator.updateProduct(request, catalog.asOperator());
    expect(await find("alpha")).toEqual([]);
    expect(await find("fol old")).toEqual([]);
    expect(await find("beta fol-new planetary")).toEqual(["follow"]);
    expect(await find("beta", { categorySlug: "motors" })).toEqual([]);
  });

  test("a change of its category, and of those above", async () => {
    const rows = [
      categoryPart("top", "Zenith"),
      categoryPart("mid", "Middle", "top"),
      categoryPart("low", "Nadir", "mid"),
    ];
    await catalog.importRows([...rows, productPart(content("deep", { title: "Deep", categorySlug: "low" }))]);
    expect(await find("deep zenith middle nadir")).toEqual(["deep"]);
    await catalog.importRows([categoryPart("mid", "Centre", "drives")]);
    expect(await find("deep zenith")).toEqual([]);
    expect(await find("deep middle")).toEqual([]);
    expect(await find("deep servo centre nadir")).toEqual(["deep"]);
    expect(await find("deep", { categorySlug: "drives" })).toEqual(["deep"]);
    expect(await find("deep", { categorySlug: "top" })).toEqual([]);
  });
});

describe("pages", () => {
  test("give every match once, in order, while products are added", async () => {
    const rows = Array.from({ length: 25 }, (_, at) =>
      // Of five different ranks, five products each.
      productPart(content(`page-${at}`, { title: `${"paging ".repeat(1 + (at % 5))}${at}` })),
    );
    await catalog.importRows(rows);
    const whole = await find("paging", { pageSize: 100 });
    expect(whole).toHaveLength(25);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await search("Paging!", { pageSize: 4, pageToken });
      seen.push(...page.products.map((product) => product.externalKey));
      pageToken = page.nextPageToken;
      // The best match of all, which comes before every page that is left.
      await catalog.create(content(`more-${seen.length}`, { title: "paging ".repeat(12) }));
    } while (pageToken !== "");
    expect(seen).toEqual(whole);
  });

  test("take no token that was made up, or for another query", async () => {
    const { nextPageToken } = await search("paging", { pageSize: 1 });
    expect(nextPageToken).not.toBe("");
    const filter = ["SearchProducts", ["paging"], ""];
    const forged = [[1.5, "a"], [-1, "a"], [3e9, "a"], ["1", "a"], [1], [1, "\u0000"], "1", null].map((position) =>
      encodePageToken(filter, position),
    );
    for (const pageToken of ["x", nextPageToken.slice(2), ...forged]) {
      await expect(search("paging", { pageToken }), pageToken).rejects.toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
    }
    for (const given of [{ query: "page" }, { query: "paging", categorySlug: "motors" }]) {
      const failed = search(given.query, { ...given, pageToken: nextPageToken });
      await expect(failed).rejects.toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_PAGE_TOKEN" });
    }
  });
});
