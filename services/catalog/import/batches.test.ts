import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  categoryPart,
  headerPart,
  type Part,
  productPart,
  startTestCatalog,
  type TestCatalog,
} from "../testing/catalog.ts";
import { content, variant } from "../testing/content.ts";
import { importCategories } from "./categories.ts";
import { importProducts } from "./products.ts";
import { createReport } from "./report.ts";
import { readBatches } from "./rows.ts";

let catalog: TestCatalog;
const log = pino({ level: "silent" });

beforeAll(async () => {
  catalog = await startTestCatalog();
});
afterAll(() => catalog.close());

/** Imports rows as the handler does, but below the checks that the mesh makes of every message as a whole. */
async function importBatches(parts: readonly Part[]) {
  async function* requests() {
    for (const part of [headerPart(), ...parts]) yield { part };
  }
  const report = createReport();
  for await (const batch of readBatches(requests())) {
    if (batch.kind === "product") await importProducts(catalog.deps, batch.rows, { report, log });
    else await importCategories(catalog.deps, batch.rows, { report, log });
  }
  return report.response();
}

test("text that no table can hold fails its row alone", async () => {
  const nul = "a\u0000b";
  const report = await importBatches([
    categoryPart("nul", nul, nul),
    productPart(content("nul-1", { description: nul })),
    productPart(content("nul-2", { variants: [variant("NUL-2", { attributes: [{ name: "a", value: nul }] })] })),
    productPart(content("fine")),
  ]);
  expect(report).toMatchObject({ createdCount: 1, failedCount: 3 });
  const told = report.errors.map(({ key, reason, violations }) => [
    key,
    reason,
    ...violations.map(({ field }) => field),
  ]);
  expect(told).toEqual([
    ["nul", "INVALID_REQUEST", "title", "parent_slug"],
    ["nul-1", "INVALID_REQUEST", "description"],
    ["nul-2", "INVALID_REQUEST", "variants[0].attributes[0].value"],
  ]);
});

test("a row that breaks very many rules is told of the first of them", async () => {
  const variants = Array.from({ length: 50 }, (_, at) => variant(`low-${at}`));
  const report = await importBatches([productPart(content("k".repeat(500), { variants }))]);
  expect(report.errors.map(({ key, violations }) => [key.length, violations.length])).toEqual([[100, 20]]);
});
