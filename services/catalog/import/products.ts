import type { Logger } from "pino";
import type { ProductInput } from "#gen/shop/catalog/v1/product.ts";
import { invalidArgument } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import { type ChangedProduct, writeProducts } from "../changes.ts";
import type { Deps } from "../deps.ts";
import { type Content, checkCurrency, checkSurroundings, type OwnedProduct, sameContent } from "../domain.ts";
import { productFailure } from "../errors.ts";
import { contentOf } from "../messages.ts";
import * as store from "../store.ts";
import { holdCategories, insertOrLockProducts } from "../store-write.ts";
import type { Report, RowName, RowOutcome } from "./report.ts";
import type { Row } from "./rows.ts";
import { writeRows } from "./write-rows.ts";

interface GoodRow extends RowName {
  readonly content: Content;
}

/**
 * Imports a batch of products, no two of which share a key or a SKU. Rows that are there just so cost two reads for the
 * whole batch, and lock and write nothing.
 */
export async function importProducts(
  deps: Deps,
  rows: readonly Row<ProductInput>[],
  { report, log }: { readonly report: Report; readonly log: Logger },
): Promise<void> {
  const outcomes = new Map<RowName, RowOutcome>();
  const good: GoodRow[] = [];
  for (const row of rows) {
    const content = contentOf(row.message);
    const outcome = checkRow(deps, row, content);
    if (outcome === undefined) good.push({ number: row.number, key: row.key, content });
    else outcomes.set(row, outcome);
  }
  const { done, toWrite } = await compare(deps, good);
  for (const [row, outcome] of done) outcomes.set(row, outcome);
  const write = (some: readonly GoodRow[]) => deps.db.transaction((tx) => writeBatch(deps, tx, some));
  for (const [row, outcome] of await writeRows(toWrite, write, log)) outcomes.set(row, outcome);
  report.add(outcomes);
}

/** What can be said of a row by itself. */
function checkRow(deps: Deps, row: Row<ProductInput>, content: Content): RowOutcome | undefined {
  const violations = deps.validate("shop.catalog.v1.ProductInput", row.bytes);
  if (violations.length > 0) return { kind: "failed", failure: invalidArgument(violations) };
  const foreign = checkCurrency(content, deps.currencyCode);
  return foreign && { kind: "failed", failure: productFailure(foreign) };
}

interface Compared {
  readonly done: ReadonlyMap<GoodRow, RowOutcome>;
  readonly toWrite: readonly GoodRow[];
}

/** Sets aside the rows that are there already, or that the rest of the catalogue stands against, as of now. */
async function compare({ db }: Deps, rows: readonly GoodRow[]): Promise<Compared> {
  const done = new Map<GoodRow, RowOutcome>();
  const toWrite: GoodRow[] = [];
  if (rows.length === 0) return { done, toWrite };
  const [products, surroundings] = await Promise.all([
    store.getProductsByKey(
      db,
      rows.map((row) => row.key),
    ),
    store.getSurroundings(db, {
      categorySlugs: [...new Set(rows.map((row) => row.content.categorySlug))],
      skus: rows.flatMap((row) => row.content.variants.map((variant) => variant.sku)),
    }),
  ]);
  for (const row of rows) {
    const product = products.get(row.key);
    const error = checkSurroundings(row.content, product?.id, surroundings);
    const settled = product && settle(product, row.content);
    if (settled !== undefined) done.set(row, settled);
    else if (error !== undefined) done.set(row, { kind: "failed", failure: productFailure(error) });
    else toWrite.push(row);
  }
  return { done, toWrite };
}

/** What becomes of a row whose product need not, or must not, be written. */
function settle(product: OwnedProduct, content: Content): RowOutcome | undefined {
  if (product.state === "ARCHIVED") return { kind: "failed", failure: productFailure({ kind: "product_archived" }) };
  return sameContent(product, content) ? { kind: "unchanged" } : undefined;
}

async function writeBatch(
  { clock, newId }: Deps,
  tx: Transaction,
  rows: readonly GoodRow[],
): Promise<ReadonlyMap<GoodRow, RowOutcome>> {
  const now = clock.now();
  const outcomes = new Map<GoodRow, RowOutcome>();
  const candidates = rows.map((row) => ({ id: newId("prd"), content: row.content, row }));
  const addedIds = await insertOrLockProducts(tx, candidates, now);
  const added = candidates.filter(({ id }) => addedIds.has(id));
  for (const { row } of added) outcomes.set(row, { kind: "created" });

  const known = candidates.filter(({ id }) => !addedIds.has(id));
  const products = await store.getProductsByKey(
    tx,
    known.map(({ row }) => row.key),
  );
  const changed: ChangedProduct[] = [];
  for (const { row, content } of known) {
    const before = products.get(row.key);
    if (before === undefined) throw new Error(`the product ${row.key} was locked and is gone`);
    const settled = settle(before, content);
    if (settled === undefined) changed.push({ before, content });
    outcomes.set(row, settled ?? { kind: "updated" });
  }
  await holdCategories(tx, [...new Set([...added, ...changed].map(({ content }) => content.categorySlug))]);
  await writeProducts(tx, { added, changed }, now);
  return outcomes;
}
