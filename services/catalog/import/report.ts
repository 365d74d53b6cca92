import type { ImportProductsResponse, ImportRowError } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { RpcError } from "#mesh/contract/errors.ts";

/** What became of one row. A failure is what a call for this row alone would have got. */
export type RowOutcome =
  | { readonly kind: "created" }
  | { readonly kind: "updated" }
  | { readonly kind: "unchanged" }
  | { readonly kind: "failed"; readonly failure: RpcError };

/** Where a row stands in the stream, and how it is known. */
export interface RowName {
  /** The header is 0. */
  readonly number: number;
  /** The external key or the slug. */
  readonly key: string;
}

/** The contract's limit. */
const MAX_ERRORS = 1_000;
/** Fifty variants of fifty attributes can break very many rules at once, and an answer has room for some. */
const MAX_VIOLATIONS = 20;
/** Keys that break their rule may be of any length. */
const MAX_KEY_LENGTH = 100;

/** Counts what became of the rows, and keeps the first errors. */
export interface Report {
  /** The outcomes of one batch; batches come in the order sent. */
  add(outcomes: ReadonlyMap<RowName, RowOutcome>): void;
  response(): ImportProductsResponse;
}

export function createReport(): Report {
  const counts = { created: 0, updated: 0, unchanged: 0, failed: 0 };
  const errors: ImportRowError[] = [];
  return {
    add(outcomes) {
      const inOrder = [...outcomes].sort(([a], [b]) => a.number - b.number);
      for (const [row, outcome] of inOrder) {
        counts[outcome.kind] += 1;
        if (outcome.kind === "failed" && errors.length < MAX_ERRORS) errors.push(rowError(row, outcome.failure));
      }
    },
    response: () => ({
      createdCount: counts.created,
      updatedCount: counts.updated,
      unchangedCount: counts.unchanged,
      failedCount: counts.failed,
      errors,
    }),
  };
}

function rowError({ number, key }: RowName, { reason, message, violations }: RpcError): ImportRowError {
  return {
    row: number,
    key: key.slice(0, MAX_KEY_LENGTH),
    reason,
    message,
    violations: violations.slice(0, MAX_VIOLATIONS).map(({ field, description }) => ({ field, description })),
  };
}
