import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { ImportProductsRequest, ImportProductsResponse } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { Category, Product, ProductInput } from "#gen/shop/catalog/v1/product.ts";
import { type Client, implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { createRequestValidator } from "#mesh/rpc/validation.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { testDatabase } from "#testing/postgres.ts";
import { countRetries } from "#testing/retries.ts";
import type { Deps } from "../deps.ts";
import type { Content } from "../domain.ts";
import { catalogHandlers } from "../handlers.ts";
import { variantMessage } from "../messages.ts";

/** A catalogue that is served over real sockets, out of a database of its own, with one category, `motors`. */
export interface TestCatalog {
  readonly db: Database;
  readonly deps: Deps;
  readonly clock: FakeClock;
  readonly shop: TestMesh;
  /** How often a transaction had to be run again, because it and another one stood in each other's way. */
  retries(): number;
  /** As the shopmesh command sees it; to be called with `asOperator()`. */
  readonly operator: Client<typeof CatalogService>;
  /** As somebody without a token sees it, through the gateway; to be called with `shop.call()`. */
  readonly anyone: Client<typeof CatalogService>;
  asOperator(): Call;
  /** Adds a product. */
  create(content: Content): Promise<Product>;
  /** Imports rows, after a header. */
  importRows(rows: readonly Part[]): Promise<ImportProductsResponse>;
  /** Sends the parts as they are. */
  importParts(parts: Iterable<Part> | AsyncIterable<Part>): Promise<ImportProductsResponse>;
  close(): Promise<void>;
}

export type Part = NonNullable<ImportProductsRequest["part"]>;

export async function startTestCatalog(): Promise<TestCatalog> {
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const clock = fakeClock();
  const { db, retries } = countRetries(database.db);
  const validator = createRequestValidator(readDescriptors);
  const deps: Deps = {
    db,
    clock,
    newId,
    currencyCode: "EUR",
    validate: (type, bytes) => validator(type)(bytes),
  };
  const shop = await startTestMesh({ catalog: () => [implement(CatalogService, catalogHandlers(deps))] });
  const operator = shop.mesh("operator").client(CatalogService);
  const asOperator = () => shop.mesh("operator").background({ name: "test", timeoutMs: 20_000 });
  const importParts: TestCatalog["importParts"] = (parts) => operator.importProducts(requestsOf(parts), asOperator());
  const importRows: TestCatalog["importRows"] = (rows) => importParts([headerPart(), ...rows]);
  const { createdCount } = await importRows([categoryPart("motors", "Motors")]);
  if (createdCount !== 1) throw new Error("the first category was not imported");
  return {
    ...{ db, retries, deps, clock, shop, operator, asOperator, importRows, importParts },
    anyone: shop.mesh("gateway").client(CatalogService),
    async create(content) {
      const request = { requestId: newId("req"), product: inputOf(content) };
      const { product } = await operator.createProduct(request, asOperator());
      if (product === undefined) throw new Error("a product was created, and not told of");
      return product;
    },
    async close() {
      await shop.close();
      await database.close();
    },
  };
}

async function* requestsOf(parts: Iterable<Part> | AsyncIterable<Part>): AsyncGenerator<ImportProductsRequest> {
  for await (const part of parts) yield { part };
}

/** A product's content as a message. */
export function inputOf({ variants, ...content }: Content): ProductInput {
  return { ...content, variants: variants.map(variantMessage) };
}

export function headerPart(): Part {
  return { $case: "header", value: { requestId: newId("req") } };
}

export function productPart(content: Content): Part {
  return { $case: "product", value: inputOf(content) };
}

export function categoryPart(slug: string, title: string, parentSlug = ""): Part {
  const value: Category = { slug, title, parentSlug };
  return { $case: "category", value };
}
