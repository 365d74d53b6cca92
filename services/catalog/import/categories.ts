import type { Logger } from "pino";
import type { Category as CategoryMessage } from "#gen/shop/catalog/v1/product.ts";
import { invalidArgument } from "#mesh/contract/errors.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Deps } from "../deps.ts";
import { type Category, type CategoryOutcome, planCategories } from "../domain-categories.ts";
import { categoryFailure } from "../errors.ts";
import { categoryOf } from "../messages.ts";
import * as store from "../store-categories.ts";
import type { Report, RowName, RowOutcome } from "./report.ts";
import type { Row } from "./rows.ts";
import { writeRows } from "./write-rows.ts";

interface GoodRow extends RowName {
  readonly category: Category;
}

/** Imports a batch of categories, one after the other: a row may name as its parent what an earlier one made. */
export async function importCategories(
  deps: Deps,
  rows: readonly Row<CategoryMessage>[],
  { report, log }: { readonly report: Report; readonly log: Logger },
): Promise<void> {
  const outcomes = new Map<RowName, RowOutcome>();
  const good: GoodRow[] = [];
  for (const row of rows) {
    const violations = deps.validate("shop.catalog.v1.Category", row.bytes);
    if (violations.length > 0) outcomes.set(row, { kind: "failed", failure: invalidArgument(violations) });
    else good.push({ number: row.number, key: row.key, category: categoryOf(row.message) });
  }
  const write = (some: readonly GoodRow[]) => deps.db.transaction((tx) => writeBatch(tx, some));
  for (const [row, outcome] of await writeRows(good, write, log)) outcomes.set(row, outcome);
  report.add(outcomes);
}

async function writeBatch(tx: Transaction, rows: readonly GoodRow[]): Promise<ReadonlyMap<GoodRow, RowOutcome>> {
  const categories = rows.map((row) => row.category);
  const named = categories.flatMap(({ slug, parentSlug }) => (parentSlug === undefined ? [slug] : [slug, parentSlug]));
  const known = await store.lockBranches(tx, [...new Set(named)]);
  const { outcomes, write } = planCategories(known, categories);
  await store.writeCategories(tx, write);
  return new Map(rows.map((row, at) => [row, rowOutcome(outcomes[at])]));
}

function rowOutcome(outcome: CategoryOutcome | undefined): RowOutcome {
  if (outcome === undefined) throw new TypeError("a plan has an outcome for every row");
  if (outcome.kind !== "refused") return outcome;
  return { kind: "failed", failure: categoryFailure(outcome.error) };
}
