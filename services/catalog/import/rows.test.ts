import { expect, test } from "vitest";
import type { ImportProductsRequest } from "#gen/shop/catalog/v1/catalog_service.ts";
import { categoryPart, headerPart, type Part, productPart } from "../testing/catalog.ts";
import { content, variant } from "../testing/content.ts";
import { type Batch, readBatches } from "./rows.ts";

async function batchesOf(parts: readonly Part[]): Promise<readonly Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of readBatches(requestsOf([headerPart(), ...parts], () => {}))) batches.push(batch);
  return batches;
}

async function* requestsOf(parts: readonly Part[], onRead: () => void): AsyncGenerator<ImportProductsRequest> {
  for (const part of parts) {
    onRead();
    yield { part };
  }
}

const products = (size: number) => Array.from({ length: size }, (_, at) => productPart(content(`p-${at}`)));
const numbers = (batches: readonly Batch[]) => batches.map(({ kind, rows }) => [kind, rows.map((row) => row.number)]);

test("rows of one kind go together, a hundred at most", async () => {
  const sizes = (await batchesOf([...products(250)])).map((batch) => batch.rows.length);
  expect(sizes).toEqual([100, 100, 50]);
  const parts = [categoryPart("a", "A"), categoryPart("b", "B"), ...products(2), categoryPart("c", "C")];
  expect(numbers(await batchesOf(parts))).toEqual([
    ["category", [1, 2]],
    ["product", [3, 4]],
    ["category", [5]],
  ]);
});

test("a megabyte ends a batch", async () => {
  const attributes = Array.from({ length: 50 }, () => ({ name: "n".repeat(60), value: "v".repeat(200) }));
  const variants = Array.from({ length: 50 }, (_, at) => variant(`V-${at}`, { attributes }));
  // 50 × 50 × about 270 bytes: two thirds of a megabyte each.
  const large = Array.from({ length: 3 }, (_, at) =>
    productPart(content(`large-${at}`, { variants: variants.map((one) => ({ ...one, sku: `${one.sku}-${at}` })) })),
  );
  expect(numbers(await batchesOf(large))).toEqual([
    ["product", [1]],
    ["product", [2]],
    ["product", [3]],
  ]);
});

test("no two products of a batch share a key or a SKU", async () => {
  const parts = [
    productPart(content("a")),
    productPart(content("b", { variants: [variant("A")] })),
    productPart(content("c")),
    productPart(content("b", { variants: [variant("D")] })),
  ];
  expect(numbers(await batchesOf(parts))).toEqual([
    ["product", [1]],
    ["product", [2, 3]],
    ["product", [4]],
  ]);
});

test("no more rows are asked for while a batch is being written", async () => {
  let read = 0;
  const batches = readBatches(
    requestsOf([headerPart(), ...products(1_000)], () => {
      read += 1;
    }),
  );
  await batches.next();
  // The header, a hundred rows, and the one that no longer fits.
  expect(read).toBe(102);
  await batches.next();
  expect(read).toBe(202);
  await batches.return(undefined);
  expect(read).toBe(202);
});
