import { describe, expect, test } from "vitest";
import {
  applyMask,
  checkChange,
  checkCurrency,
  checkEtag,
  checkSurroundings,
  diffVariants,
  etagOf,
  readMask,
  sameContent,
} from "./domain.ts";
import { content, owned, variant } from "./testing/content.ts";

describe("a mask", () => {
  test("names each field once", () => {
    expect(readMask(["title", "variants", "title"])).toEqual({ ok: true, value: ["title", "variants"] });
  });

  test.each(["external_key", "categorySlug", "variants.price", "variants[0]", "", "state", "constructor", "*"])(
    "refuses the path %j",
    (path) => {
      const error = { kind: "update_mask_invalid", path };
      expect(readMask(["title", path])).toEqual({ ok: false, error });
    },
  );

  test("must name a field", () => {
    expect(readMask([])).toEqual({ ok: false, error: { kind: "update_mask_invalid", path: "" } });
  });

  test("takes exactly what it names from the new values", () => {
    const before = owned();
    const values = content("other", { title: "New", description: "New too", categorySlug: "drives" });
    const { externalKey, description, attributes, variants } = before;
    expect(applyMask(before, values, ["title", "category_slug"])).toEqual({
      ...{ externalKey, description, attributes, variants },
      ...{ title: "New", categorySlug: "drives" },
    });
    expect(applyMask(before, values, ["description", "variants", "attributes"])).toMatchObject({
      externalKey,
      title: before.title,
      description: "New too",
      variants: values.variants,
    });
  });
});

describe("a change", () => {
  test("needs the etag of the version that is there, or none", () => {
    const product = owned({ version: 7n });
    expect(checkChange(product, "")).toBeUndefined();
    expect(checkChange(product, etagOf(product))).toBeUndefined();
    for (const etag of ["6", "07", "seven", " 7"]) {
      expect(checkChange(product, etag), etag).toEqual({ kind: "etag_stale", etag: "7" });
    }
  });

  test("is not made to an archived product, whatever the etag", () => {
    const product = owned({ state: "ARCHIVED" });
    expect(checkChange(product, "stale")).toEqual({ kind: "product_archived" });
    expect(checkEtag(product, "stale")).toEqual({ kind: "etag_stale", etag: "3" });
  });
});

test("every price is in the shop's currency", () => {
  const mixed = content("a", { variants: [variant("A-1"), variant("A-2", { currencyCode: "USD" })] });
  expect(checkCurrency(content("a"), "EUR")).toBeUndefined();
  expect(checkCurrency(mixed, "EUR")).toEqual({
    kind: "currency_not_supported",
    currencyCode: "USD",
    shopCurrency: "EUR",
  });
});

describe("the surroundings", () => {
  const wanted = content("a", { variants: [variant("A-1"), variant("A-2")] });
  const categorySlugs = new Set(["motors"]);

  test("must have the category", () => {
    const none = { categorySlugs: new Set<string>(), skuOwners: new Map<string, string>() };
    expect(checkSurroundings(wanted, undefined, none)).toEqual({ kind: "category_not_found", categorySlug: "motors" });
  });

  test("must leave the SKUs to the product", () => {
    const skuOwners = new Map([["A-2", "prd_x"]]);
    expect(checkSurroundings(wanted, "prd_x", { categorySlugs, skuOwners })).toBeUndefined();
    const taken = { kind: "sku_taken", sku: "A-2" };
    expect(checkSurroundings(wanted, "prd_y", { categorySlugs, skuOwners })).toEqual(taken);
    expect(checkSurroundings(wanted, undefined, { categorySlugs, skuOwners })).toEqual(taken);
  });
});

describe("the same content", () => {
  const one = content("a", {
    attributes: [{ name: "Voltage", value: "24 V" }],
    variants: [variant("A-1", { attributes: [{ name: "Brake", value: "yes" }] }), variant("A-2")],
  });

  test("is the same, copied", () => {
    expect(sameContent(one, structuredClone(one))).toBe(true);
  });

  test.each([
    ["title", { title: "Other" }],
    ["description", { description: "Other" }],
    ["external key", { externalKey: "b" }],
    ["category", { categorySlug: "drives" }],
    ["an attribute's value", { attributes: [{ name: "Voltage", value: "48 V" }] }],
    ["an attribute more", { attributes: [...one.attributes, { name: "Speed", value: "1" }] }],
    ["no attribute", { attributes: [] }],
    ["the order of variants", { variants: one.variants.toReversed() }],
    ["one variant less", { variants: one.variants.slice(1) }],
  ])("differs by %s", (_, difference) => {
    expect(sameContent(one, { ...one, ...difference })).toBe(false);
    expect(sameContent({ ...one, ...difference }, one)).toBe(false);
  });

  test.each([
    { sku: "A-9" },
    { title: "Other" },
    { priceMinor: 1n },
    { currencyCode: "USD" },
    { weightGrams: 1 },
    { dimensions: undefined },
    { dimensions: { lengthMm: 120, widthMm: 60, heightMm: 61 } },
    { attributes: [] },
  ])("differs by something of a variant: %#", (difference) => {
    const [first, ...others] = one.variants;
    const variants = [{ ...variant("A-1"), ...first, ...difference }, ...others];
    expect(sameContent(one, { ...one, variants })).toBe(false);
  });

  test("tells a size of nothing from no size", () => {
    const flat = content("a", { variants: [variant("A", { dimensions: { lengthMm: 0, widthMm: 0, heightMm: 0 } })] });
    const sizeless = content("a", { variants: [variant("A", { dimensions: undefined })] });
    expect(sameContent(flat, sizeless)).toBe(false);
  });
});

describe("the variants of a product", () => {
  const product = owned({ variants: [variant("A-1"), variant("A-2"), variant("A-3")], retiredSkus: ["A-0"] });

  test("stay as they are when nothing changes", () => {
    expect(diffVariants(product, product.variants)).toEqual({ added: [], changed: [], retired: [] });
  });

  test("are added, changed and taken off", () => {
    const dearer = variant("A-2", { priceMinor: 1n });
    expect(diffVariants(product, [variant("A-1"), dearer, variant("B-1")])).toEqual({
      added: [{ ...variant("B-1"), position: 2 }],
      changed: [{ ...dearer, position: 1 }],
      retired: ["A-3"],
    });
  });

  test("are moved", () => {
    const { added, changed, retired } = diffVariants(product, [variant("A-2"), variant("A-1"), variant("A-3")]);
    expect([added, retired]).toEqual([[], []]);
    expect(changed.map(({ sku, position }) => [sku, position])).toEqual([
      ["A-2", 0],
      ["A-1", 1],
    ]);
  });

  test("come back under a SKU that was taken off", () => {
    expect(diffVariants(product, [...product.variants, variant("A-0")])).toEqual({
      added: [],
      changed: [{ ...variant("A-0"), position: 3 }],
      retired: [],
    });
  });
});
