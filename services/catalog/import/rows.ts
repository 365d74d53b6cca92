import type { ImportProductsRequest } from "#gen/shop/catalog/v1/catalog_service.ts";
import { Category, ProductInput } from "#gen/shop/catalog/v1/product.ts";
import { failure } from "../errors.ts";
import type { RowName } from "./report.ts";

/** One row of an import as it came. */
export interface Row<Message> extends RowName {
  readonly message: Message;
  /** The same, serialized, for validation. */
  readonly bytes: Uint8Array;
}

/** Rows of one kind that are written together. */
export type Batch =
  | { readonly kind: "category"; readonly rows: readonly Row<Category>[] }
  | { readonly kind: "product"; readonly rows: readonly Row<ProductInput>[] };

/** One transaction writes so many rows at most: enough to make round trips and commits small beside the work. */
const MAX_BATCH_ROWS = 100;
/** And so many bytes: what an import holds in memory is bounded by this and the size limit of one message. */
const MAX_BATCH_BYTES = 1_048_576;

/**
 * Groups the rows of a stream into batches, in their order. No two products of a batch share an external key or a SKU,
 * so that each batch can be written as one and still ends as if its rows had come one after the other.
 * Throws IMPORT_HEADER_MISPLACED unless the header comes first, and only then.
 */
export async function* readBatches(requests: AsyncIterable<ImportProductsRequest>): AsyncGenerator<Batch> {
  let number = 0;
  let batch: Open | undefined;
  for await (const { part } of requests) {
    if ((part?.$case === "header") !== (number === 0)) throw headerMisplaced();
    const row = part === undefined || part.$case === "header" ? undefined : rowOf(number, part);
    number += 1;
    if (row === undefined) continue;
    if (batch !== undefined && !batch.admits(row)) {
      yield batch.close();
      batch = undefined;
    }
    batch ??= openBatch(row.kind);
    batch.add(row);
  }
  if (number === 0) throw headerMisplaced();
  if (batch !== undefined) yield batch.close();
}

type AnyRow =
  | { readonly kind: "category"; readonly row: Row<Category>; readonly claims: readonly string[] }
  | { readonly kind: "product"; readonly row: Row<ProductInput>; readonly claims: readonly string[] };

type RowPart = Extract<ImportProductsRequest["part"], { readonly $case: "category" | "product" }>;

function rowOf(number: number, part: RowPart): AnyRow {
  if (part.$case === "category") {
    const { value: message } = part;
    const row = { number, key: message.slug, message, bytes: Category.encode(message).finish() };
    return { kind: "category", row, claims: [] };
  }
  const { value: message } = part;
  const row = { number, key: message.externalKey, message, bytes: ProductInput.encode(message).finish() };
  const skus = new Set(message.variants.map((variant) => `sku ${variant.sku}`));
  return { kind: "product", row, claims: [`key ${message.externalKey}`, ...skus] };
}

interface Open {
  admits(row: AnyRow): boolean;
  add(row: AnyRow): void;
  close(): Batch;
}

function openBatch(kind: Batch["kind"]): Open {
  const rows: AnyRow[] = [];
  const claimed = new Set<string>();
  let bytes = 0;
  return {
    admits: (next) =>
      next.kind === kind &&
      rows.length < MAX_BATCH_ROWS &&
      bytes + next.row.bytes.length <= MAX_BATCH_BYTES &&
      !next.claims.some((claim) => claimed.has(claim)),
    add(next) {
      rows.push(next);
      bytes += next.row.bytes.length;
      for (const claim of next.claims) claimed.add(claim);
    },
    close: () =>
      kind === "category"
        ? { kind, rows: rows.flatMap((one) => (one.kind === "category" ? [one.row] : [])) }
        : { kind, rows: rows.flatMap((one) => (one.kind === "product" ? [one.row] : [])) },
  };
}

function headerMisplaced(): Error {
  return failure("IMPORT_HEADER_MISPLACED", "An import begins with its header, and has one only.");
}
