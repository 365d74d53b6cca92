import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Product, Product_State } from "#gen/shop/catalog/v1/product.ts";
import { newId } from "#mesh/ids.ts";
import type { Content } from "./domain.ts";
import { inputOf, startTestCatalog, type TestCatalog } from "./testing/catalog.ts";
import { content, variant } from "./testing/content.ts";

let catalog: TestCatalog;

beforeAll(async () => {
  catalog = await startTestCatalog();
});
afterAll(() => catalog.close());

const create = (given: Content) =>
  catalog.operator.createProduct({ requestId: newId("req"), product: inputOf(given) }, catalog.asOperator());

const update = (product: Product, given: Partial<Content>, paths: readonly string[], etag = product.etag) =>
  catalog.operator.updateProduct(
    {
      requestId: newId("req"),
      productId: product.id,
      product: inputOf(content("x-x", given)),
      updateMask: paths,
      etag,
    },
    catalog.asOperator(),
  );

const archive = (productId: string, etag = "", requestId = newId("req")) =>
  catalog.operator.archiveProduct({ requestId, productId, etag }, catalog.asOperator());

const read = async (productId: string) => {
  const key = { $case: "productId", value: productId } as const;
  return (await catalog.anyone.getProduct({ key }, catalog.shop.call())).product;
};

describe("who may change the catalogue", () => {
  const request = () => ({ requestId: newId("req"), productId: newId("prd"), etag: "" });
  const byGateway = (user?: { kind?: "guest" | "customer"; roles?: readonly string[] }) =>
    catalog.anyone.archiveProduct(request(), catalog.shop.call(user && { user }));

  test("administrators and the operator", async () => {
    await expect(byGateway({ roles: ["admin"] })).rejects.toMatchObject({ reason: "PRODUCT_NOT_FOUND" });
    await expect(archive(newId("prd"))).rejects.toMatchObject({ reason: "PRODUCT_NOT_FOUND" });
  });

  test("nobody else", async () => {
    await expect(byGateway()).rejects.toMatchObject({ reason: "TOKEN_MISSING" });
    await expect(byGateway({})).rejects.toMatchObject({ reason: "NOT_ALLOWED" });
    await expect(byGateway({ kind: "guest" })).rejects.toMatchObject({ reason: "NOT_ALLOWED" });
    await expect(byGateway({ roles: ["support", "warehouse"] })).rejects.toMatchObject({ reason: "NOT_ALLOWED" });
  });
});

describe("CreateProduct", () => {
  test("leaves nothing behind when it is refused", async () => {
    await create(content("has", { variants: [variant("TAKEN")] }));
    const wanted = content("wants", { variants: [variant("FREE"), variant("TAKEN")] });
    await expect(create(wanted)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      reason: "SKU_TAKEN",
      metadata: { sku: "TAKEN" },
    });
    const { unknownSkus } = await catalog.anyone.batchGetVariants({ skus: ["FREE"] }, catalog.shop.call());
    expect(unknownSkus).toEqual(["FREE"]);
    await create({ ...wanted, variants: [variant("FREE")] });
  });

  test("refuses an external key, a category and a currency that will not do", async () => {
    await create(content("key"));
    const again = content("key", { variants: [variant("OTHER-SKU")] });
    await expect(create(again)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      reason: "EXTERNAL_KEY_TAKEN",
      metadata: { external_key: "key" },
    });
    await expect(create(content("lost", { categorySlug: "nowhere" }))).rejects.toMatchObject({
      code: "NOT_FOUND",
      reason: "CATEGORY_NOT_FOUND",
      metadata: { category_slug: "nowhere" },
    });
    const dollars = content("usd", { variants: [variant("USD", { currencyCode: "USD" })] });
    await expect(create(dollars)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "CURRENCY_NOT_SUPPORTED",
      metadata: { currency_code: "EUR" },
    });
  });

  test.each([
    ["product.variants[0].price.minor_units", { variants: [variant("NEG", { priceMinor: -1n })] }],
    ["product.variants[0].price", { variants: [variant("BIG", { priceMinor: 1_000_000_001n })] }],
    ["product.variants", { variants: [] }],
    ["product.variants", { variants: [variant("SAME"), variant("SAME")] }],
    ["product.variants[0].sku", { variants: [variant("lower")] }],
    ["product.title", { title: "" }],
    ["product.title", { title: "a\u0000b" }],
    ["product.attributes[0].value", { attributes: [{ name: "a", value: "\u0000" }] }],
  ])("names %s when it breaks a rule", async (field, given) => {
    await expect(create(content("bad", given))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "INVALID_REQUEST",
      violations: [expect.objectContaining({ field })],
    });
  });
});

describe("UpdateProduct", () => {
  test("replaces what the mask names, and tells a new version", async () => {
    const before = await catalog.create(content("up-1", { variants: [variant("UP-1"), variant("UP-2")] }));
    catalog.clock.advance(60_000);
    const variants = [variant("UP-2", { priceMinor: 5n }), variant("UP-3")];
    const { product } = await update(before, { title: "New", description: "not named", variants }, [
      "title",
      "variants",
    ]);
    const wanted = inputOf(content("up-1", { title: "New", variants }));
    expect(product).toEqual({ ...before, ...wanted, etag: "2", updateTime: catalog.clock.now() });
    expect(await read(before.id)).toEqual(product);
  });

  test("changes nothing, and no version, when nothing differs", async () => {
    const before = await catalog.create(content("up-same", { title: "Same" }));
    catalog.clock.advance(60_000);
    expect((await update(before, { title: "Same" }, ["title"])).product).toEqual(before);
  });

  test("wants the fields that the mask names to be right, and no others", async () => {
    const before = await catalog.create(content("up-mask"));
    const broken = { title: "", description: "fine", categorySlug: "nowhere", variants: [variant("lower")] };
    expect((await update(before, broken, ["description"])).product?.description).toBe("fine");
    const failed = update(before, broken, ["title", "variants"], "");
    await expect(failed).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
      violations: [{ field: "product.title" }, { field: "product.variants[0].sku" }],
    });
    const nothing = catalog.operator.updateProduct(
      { requestId: newId("req"), productId: before.id, product: undefined, updateMask: ["variants"], etag: "" },
      catalog.asOperator(),
    );
    await expect(nothing).rejects.toMatchObject({ violations: [{ field: "product.variants" }] });
  });

  test("refuses a mask that names what cannot be updated, or nothing", async () => {
    const before = await catalog.create(content("up-path"));
    for (const path of ["external_key", "state", "variants.price", "product.title"]) {
      await expect(update(before, {}, ["title", path]), path).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        reason: "UPDATE_MASK_INVALID",
        metadata: { path },
      });
    }
    await expect(update(before, {}, [])).rejects.toMatchObject({ reason: "UPDATE_MASK_INVALID" });
    const unmasked = catalog.operator.updateProduct(
      { requestId: newId("req"), productId: before.id, product: undefined, updateMask: undefined, etag: "" },
      catalog.asOperator(),
    );
    await expect(unmasked).rejects.toMatchObject({ violations: [{ field: "update_mask" }] });
  });

  test("refuses a stale etag, and tells the one now", async () => {
    const before = await catalog.create(content("up-etag"));
    await update(before, { title: "Faster" }, ["title"]);
    const late = update(before, { title: "Later" }, ["title"]);
    await expect(late).rejects.toMatchObject({ code: "ABORTED", reason: "ETAG_STALE", metadata: { etag: "2" } });
    expect((await update(before, { title: "Forced" }, ["title"], "")).product).toMatchObject({
      title: "Forced",
      etag: "3",
    });
  });

  test("one of two at once wins with the same etag", async () => {
    const before = await catalog.create(content("up-race"));
    const titles = Array.from({ length: 8 }, (_, at) => `Title ${at}`);
    const results = await Promise.allSettled(titles.map((title) => update(before, { title }, ["title"])));
    const won = results.filter((result) => result.status === "fulfilled");
    expect(won).toHaveLength(1);
    expect(await read(before.id)).toEqual(won[0]?.value.product);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ reason: "ETAG_STALE" });
    }
  });

  test("refuses what is not there, and what others have", async () => {
    const before = await catalog.create(content("mine"));
    await catalog.create(content("theirs"));
    const taken = update(before, { variants: [variant("MINE"), variant("THEIRS")] }, ["variants", "title"]);
    await expect(taken).rejects.toMatchObject({ reason: "SKU_TAKEN", metadata: { sku: "THEIRS" } });
    const gone = { ...before, id: newId("prd") };
    await expect(update(gone, { title: "a" }, ["title"])).rejects.toMatchObject({ reason: "PRODUCT_NOT_FOUND" });
    await expect(update({ ...before, id: "prd_1" }, {}, ["title"])).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(update(before, { categorySlug: "nowhere" }, ["category_slug"])).rejects.toMatchObject({
      reason: "CATEGORY_NOT_FOUND",
    });
    const dollars = { variants: [variant("MINE", { currencyCode: "USD" })] };
    await expect(update(before, dollars, ["variants"])).rejects.toMatchObject({ reason: "CURRENCY_NOT_SUPPORTED" });
  });

  test("keeps a SKU that was taken off for its product alone", async () => {
    const before = await catalog.create(content("keep-1", { variants: [variant("KEEP-1"), variant("KEEP-2")] }));
    const { product } = await update(before, { variants: [variant("KEEP-1")] }, ["variants"]);
    const { unknownSkus } = await catalog.anyone.batchGetVariants({ skus: ["KEEP-2"] }, catalog.shop.call());
    expect(unknownSkus).toEqual(["KEEP-2"]);
    const bySku = catalog.anyone.getProduct({ key: { $case: "sku", value: "KEEP-2" } }, catalog.shop.call());
    await expect(bySku).rejects.toMatchObject({ reason: "PRODUCT_NOT_FOUND" });
    const thief = create(content("thief", { variants: [variant("KEEP-2")] }));
    await expect(thief).rejects.toMatchObject({ reason: "SKU_TAKEN", metadata: { sku: "KEEP-2" } });
    const back = await update(before, { variants: [variant("KEEP-2"), variant("KEEP-1")] }, ["variants"], "2");
    expect(back.product?.variants.map(({ sku }) => sku)).toEqual(["KEEP-2", "KEEP-1"]);
    expect(product?.variants).toHaveLength(1);
  });
});

describe("ArchiveProduct", () => {
  test("archives for ever, and keeps the SKUs", async () => {
    const before = await catalog.create(content("arch-1"));
    catalog.clock.advance(60_000);
    const { product } = await archive(before.id, before.etag);
    const now = catalog.clock.now();
    expect(product).toEqual({ ...before, state: Product_State.ARCHIVED, etag: "2", updateTime: now });
    expect(await read(before.id)).toEqual(product);
    catalog.clock.advance(60_000);
    expect(await archive(before.id)).toEqual({ product });
    await expect(update(before, { title: "Back" }, ["title"], "")).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "PRODUCT_ARCHIVED",
    });
    const thief = create(content("arch-2", { variants: [variant("ARCH-1")] }));
    await expect(thief).rejects.toMatchObject({ reason: "SKU_TAKEN" });
  });

  test("refuses a stale etag, and a product that is not there", async () => {
    const before = await catalog.create(content("arch-3"));
    await expect(archive(before.id, "9")).rejects.toMatchObject({
      code: "ABORTED",
      reason: "ETAG_STALE",
      metadata: { etag: "1" },
    });
    await expect(archive("prd_nothing")).rejects.toMatchObject({ code: "NOT_FOUND", reason: "PRODUCT_NOT_FOUND" });
  });
});
