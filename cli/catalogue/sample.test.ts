import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { ImportProductsRequest } from "#gen/shop/catalog/v1/catalog_service.ts";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { readCatalogue } from "../../sample/catalogue.ts";
import { captureOutput, terminalTo } from "../testing/programs.ts";
import { loadSampleIfEmpty } from "./sample.ts";

const sample = await readCatalogue(new URL("../../sample/catalogue.json", import.meta.url));

/** A shop in memory, as far as the load needs one: keyed by the same keys as the real one. */
interface MemoryShop {
  readonly products: Map<string, unknown>;
  readonly stock: Map<string, bigint>;
  readonly adjustments: Map<string, string>;
  /** How many of the next products are refused. */
  refusals: number;
  /** How many more adjustments go well. */
  adjustmentsLeft: number;
}

let dir: string;
let shop: MemoryShop;
let mesh: TestMesh;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-sample-"));
  shop = {
    products: new Map(),
    stock: new Map(),
    adjustments: new Map(),
    refusals: 0,
    adjustmentsLeft: Number.POSITIVE_INFINITY,
  };
  mesh = await startTestMesh({ catalog: () => [catalogOf(shop)], inventory: () => [inventoryOf(shop)] });
});

afterEach(async () => {
  await mesh.close();
  rmSync(dir, { recursive: true, force: true });
});

async function load(): Promise<string> {
  const output = captureOutput();
  const terminal = terminalTo(output);
  await loadSampleIfEmpty({ mesh: mesh.mesh("operator"), markerFile: join(dir, "loading"), terminal });
  return output.text();
}

const wantedStock = new Map(sample.openingStock.map(({ sku, quantity }) => [sku, quantity]));

test("fills an empty shop, categories before what names them", async () => {
  expect(await load()).toContain(`the shop was empty: loaded ${sample.products.length} sample products`);
  expect([...shop.products.keys()]).toEqual([
    ...sample.categories.map(({ slug }) => slug),
    ...sample.products.map(({ externalKey }) => externalKey),
  ]);
  expect(shop.stock).toEqual(wantedStock);
  expect(existsSync(join(dir, "loading"))).toBe(false);
});

test("leaves a shop alone that sells something already", async () => {
  shop.products.set("mine", {});
  expect(await load()).toBe("");
  expect([...shop.products.keys()]).toEqual(["mine"]);
  expect(shop.stock.size).toBe(0);
});

test("completes a load that was cut short, and stocks no SKU twice", async () => {
  shop.adjustmentsLeft = 20;
  await expect(load()).rejects.toThrow(/^the stock can't be entered: /);
  const stocked = shop.stock.size;
  expect(stocked).toBeGreaterThan(0);
  expect(stocked).toBeLessThan(wantedStock.size);
  shop.adjustmentsLeft = Number.POSITIVE_INFINITY;
  expect(await load()).toContain(`with stock of ${wantedStock.size - stocked} SKUs`);
  expect(shop.stock).toEqual(wantedStock);
  expect(await load()).toBe("");
});

test("tells what could not be loaded, and tries again at the next start", async () => {
  shop.refusals = 7;
  const output = await load();
  expect(output.match(/row \d+ \(no key\): not today \(SKU_TAKEN\): variants: taken/g)).toHaveLength(5);
  expect(output).toContain("7 rows of the sample catalogue could not be loaded; the next start tries again");
  shop.refusals = 0;
  expect(await load()).toContain(`loaded ${sample.products.length} sample products`);
});

test("stocks a SKU once even when two loads run at the same time", async () => {
  await Promise.allSettled([load(), load()]);
  expect(shop.stock).toEqual(wantedStock);
});

function catalogOf(state: MemoryShop): Implementation {
  const { products } = state;
  // Whether the row went in.
  const save = ({ part }: ImportProductsRequest): boolean => {
    if (part?.$case === "category") products.set(part.value.slug, part.value);
    if (part?.$case !== "product") return true;
    if (state.refusals-- > 0) return false;
    products.set(part.value.externalKey, part.value);
    return true;
  };
  return implement(CatalogService, {
    ...unusedCatalogMethods,
    listProducts: async () => ({
      products: [...products.keys()].slice(0, 1).map((externalKey) => ({ ...noProduct, externalKey })),
      nextPageToken: "",
    }),
    async importProducts(requests) {
      const before = products.size;
      const failed: number[] = [];
      let row = 0;
      for await (const request of requests) {
        if (!save(request)) failed.push(row);
        row++;
      }
      const violations = [{ field: "variants", description: "taken" }];
      const errors = failed.map((at) => ({ row: at, key: "", reason: "SKU_TAKEN", message: "not today", violations }));
      const createdCount = products.size - before;
      return { createdCount, updatedCount: 0, unchangedCount: 0, failedCount: failed.length, errors };
    },
  });
}

function inventoryOf(state: MemoryShop): Implementation {
  const { stock, adjustments } = state;
  const describe = (sku: string) => {
    const onHand = stock.get(sku) ?? 0n;
    return { sku, onHand, reserved: 0n, available: onHand, updateTime: undefined };
  };
  return implement(InventoryService, {
    ...unusedInventoryMethods,
    batchGetStock: async ({ skus }) => ({
      stocks: skus.filter((sku) => stock.has(sku)).map(describe),
      unknownSkus: skus.filter((sku) => !stock.has(sku)),
    }),
    async adjustStock({ requestId, sku, delta }) {
      if (state.adjustmentsLeft-- <= 0) throw new Error("the power went out");
      // As the real one does: the same request_id has its effect once.
      if (!adjustments.has(requestId)) stock.set(sku, (stock.get(sku) ?? 0n) + delta);
      adjustments.set(requestId, sku);
      return { stock: describe(sku) };
    },
  });
}

const unused = (): never => {
  throw new Error("the load does not need this");
};
const unusedCatalogMethods = {
  getProduct: unused,
  batchGetVariants: unused,
  searchProducts: unused,
  listCategories: unused,
  createProduct: unused,
  updateProduct: unused,
  archiveProduct: unused,
};
const unusedInventoryMethods = {
  getStock: unused,
  createReservation: unused,
  getReservation: unused,
  commitReservation: unused,
  releaseReservation: unused,
  restockReservation: unused,
  listMovements: unused,
  watchStock: unused,
};
const noProduct = {
  id: "",
  externalKey: "",
  title: "",
  description: "",
  categorySlug: "",
  attributes: [],
  variants: [],
  state: 1,
  createTime: undefined,
  updateTime: undefined,
  etag: "",
} as const;
