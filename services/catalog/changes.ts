import type { Transaction } from "#mesh/postgres/index.ts";
import { type Content, diffVariants, type OwnedProduct, type Product } from "./domain.ts";
import { productFailure } from "./errors.ts";
import * as store from "./store-write.ts";

export interface AddedProduct {
  readonly id: string;
  readonly content: Content;
}

export interface ChangedProduct {
  /** The product as it is; locked. */
  readonly before: OwnedProduct;
  readonly content: Content;
}

/**
 * Writes the variants and search entries of products that `insertOrLockProducts` added, and all of those that change.
 * Throws SKU_TAKEN when another product has one of the new SKUs; the transaction must then fail.
 */
export async function writeProducts(
  tx: Transaction,
  { added, changed }: { readonly added: readonly AddedProduct[]; readonly changed: readonly ChangedProduct[] },
  now: Date,
): Promise<void> {
  const none = { variants: [], retiredSkus: [] };
  const diffs = [
    ...added.map(({ id, content }) => ({ id, ...diffVariants(none, content.variants) })),
    ...changed.map(({ before, content }) => ({ id: before.id, ...diffVariants(before, content.variants) })),
  ];
  const inserts = diffs.flatMap(({ id, added: rows }) => rows.map((row) => ({ ...row, productId: id })));
  const free = await store.insertVariants(tx, inserts);
  const taken = inserts.find(({ sku }) => !free.has(sku));
  if (taken !== undefined) throw productFailure({ kind: "sku_taken", sku: taken.sku });
  await store.updateVariants(
    tx,
    diffs.flatMap(({ id, changed: rows }) => rows.map((row) => ({ ...row, productId: id }))),
  );
  await store.retireVariants(
    tx,
    diffs.flatMap(({ retired }) => retired),
  );
  if (changed.length > 0) {
    const updated = await store.updateProducts(tx, changed, now);
    if (updated !== changed.length) throw new Error("a locked product was changed by somebody else");
  }
  await store.writeSearch(tx, [...added, ...changed.map(({ before, content }) => ({ id: before.id, content }))]);
}

/** A product as it is once it was added. */
export function addedProduct({ id, content }: AddedProduct, now: Date): Product {
  return { ...content, id, state: "ACTIVE", version: 1n, createTime: now, updateTime: now };
}

/** A product as it is once it was changed. */
export function changedProduct({ before, content }: ChangedProduct, now: Date): Product {
  const { id, state, version, createTime } = before;
  return { ...content, id, state, version: version + 1n, createTime, updateTime: now };
}
