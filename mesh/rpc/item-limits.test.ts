import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import {
  BatchGetVariantsRequest,
  CreateProductRequest,
  ImportProductsRequest,
} from "#gen/shop/catalog/v1/catalog_service.ts";
import { ProductInput } from "#gen/shop/catalog/v1/product.ts";
import { createItemLimits } from "./item-limits.ts";
import { createRequestValidator } from "./validation.ts";

const descriptors = readFileSync(new URL("../../gen/descriptors.binpb", import.meta.url));
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
const limits = createItemLimits(registry);

function tooMany(name: string, bytes: Uint8Array): string | undefined {
  const type = registry.getMessage(name);
  if (type === undefined) throw new Error(`the descriptors hold no ${name}`);
  return limits(type, bytes)?.field;
}

const skus = (count: number): Uint8Array =>
  BatchGetVariantsRequest.encode({ skus: Array.from({ length: count }, (_, at) => `S-${at}`) }).finish();

test("a list may be as long as the contract says, and no longer", () => {
  expect(tooMany("shop.catalog.v1.BatchGetVariantsRequest", skus(100))).toBeUndefined();
  expect(tooMany("shop.catalog.v1.BatchGetVariantsRequest", skus(101))).toBe("skus");
});

test("lists within messages within lists are counted one by one", () => {
  const variant = (attributes: number) => ({
    ...{ sku: "A", title: "", price: undefined, weightGrams: 0, dimensions: undefined },
    attributes: Array.from({ length: attributes }, () => ({ name: "n", value: "v" })),
  });
  const product = (attributes: readonly number[]) =>
    CreateProductRequest.encode({
      requestId: "request-1",
      product: {
        ...{ externalKey: "", title: "", description: "", categorySlug: "", attributes: [] },
        variants: attributes.map(variant),
      },
    }).finish();
  expect(tooMany("shop.catalog.v1.CreateProductRequest", product([50, 50, 50]))).toBeUndefined();
  expect(tooMany("shop.catalog.v1.CreateProductRequest", product([50, 51]))).toBe("product.variants[1].attributes");
});

test("a row of an import is left to its service, which reports it by itself", () => {
  const attributes = Array.from({ length: 51 }, () => ({ name: "n", value: "v" }));
  const product = { externalKey: "", title: "", description: "", categorySlug: "", attributes, variants: [] };
  const row = ImportProductsRequest.encode({ part: { $case: "product", value: product } }).finish();
  expect(tooMany("shop.catalog.v1.ImportProductsRequest", row)).toBeUndefined();
  expect(tooMany("shop.catalog.v1.ProductInput", ProductInput.encode(product).finish())).toBe("attributes");
});

test("two million empty items are refused by one violation, not by two million", () => {
  const bytes = new Uint8Array(4_000_000);
  for (let at = 0; at < bytes.length; at += 2) bytes[at] = 0x0a;
  const violations = createRequestValidator(() => descriptors)("shop.catalog.v1.BatchGetVariantsRequest")(bytes);
  expect(violations.map(({ field, reason }) => [field, reason])).toEqual([["skus", "repeated.max_items"]]);
});
