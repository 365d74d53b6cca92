import { afterAll, beforeAll } from "vitest";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { person, testOnce, workload } from "#testing/once.ts";
import { inputOf, startTestCatalog, type TestCatalog } from "./testing/catalog.ts";
import { content } from "./testing/content.ts";

let catalog: TestCatalog;
beforeAll(async () => {
  catalog = await startTestCatalog();
});
afterAll(() => catalog?.close());

const callers = () => [workload("operator"), person("admin")] as const;

let keys = 0;
/** A key that no product has yet. */
function newKey(): string {
  keys += 1;
  return `once-${keys}`;
}

/** The titles, states and versions of the products of these keys, which are there. */
const products = (...externalKeys: readonly string[]) =>
  catalog.db.query("select title, state, version from products where external_key = any($1) order by external_key", [
    externalKeys,
  ]);

testOnce(CatalogService, () => catalog.shop, {
  createProduct: {
    callers,
    prepare: async (_, requestId) => {
      const [key, another] = [newKey(), newKey()];
      const request = { requestId, product: inputOf(content(key, { title: "Created" })) };
      return {
        request,
        other: () => ({ ...request, product: inputOf(content(another)) }),
        effect: () => products(key, another),
        once: [{ title: "Created", state: "ACTIVE", version: 1n }],
      };
    },
  },
  updateProduct: {
    callers,
    prepare: async (_, requestId) => {
      const key = newKey();
      const { id: productId } = await catalog.create(content(key));
      const titled = (title: string) => ({
        ...{ productId, product: inputOf(content("x", { title })) },
        ...{ updateMask: ["title"], etag: "" },
      });
      return {
        request: { requestId, ...titled("Updated") },
        other: () => ({ requestId, ...titled("Other") }),
        meanwhile: () =>
          catalog.operator.updateProduct({ requestId: newId("req"), ...titled("Later") }, catalog.asOperator()),
        effect: () => products(key),
        once: [{ title: "Updated", state: "ACTIVE", version: 2n }],
      };
    },
  },
  archiveProduct: {
    callers,
    prepare: async (_, requestId) => {
      const [key, another] = [newKey(), newKey()];
      const product = await catalog.create(content(key, { title: "One" }));
      const { id } = await catalog.create(content(another, { title: "Other" }));
      const request = { requestId, productId: product.id, etag: product.etag };
      return {
        request,
        other: () => ({ ...request, productId: id }),
        effect: () => products(key, another),
        once: [
          { title: "One", state: "ARCHIVED", version: 2n },
          { title: "Other", state: "ACTIVE", version: 1n },
        ],
      };
    },
  },
});
