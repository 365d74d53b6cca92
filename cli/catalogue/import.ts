import { randomUUID } from "node:crypto";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { ImportProductsRequest, ImportRowError } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Catalogue } from "../../sample/catalogue.ts";
import { callFailure } from "../operator-client.ts";
import { stockMissing } from "./stock.ts";

/** What became of an import. */
export interface ImportResult {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly failed: number;
  /** One line for each of the first rows that were left out. */
  readonly errors: readonly string[];
  /** How many SKUs were given their first stock. */
  readonly stocked: number;
}

const importTimeoutMs = 600_000;

/**
 * Brings a catalogue into the shop, as the operator, through the RPCs that anybody's catalogue comes in by. Rows that
 * break a rule are left out and told; stock is given to SKUs that have never had any, and to no other. To do it again,
 * in whole or after a failure half-way, does no harm. Throws OperatorError when a service cannot do it.
 */
export async function importCatalogue(
  mesh: MeshNode,
  catalogue: Catalogue,
  signal?: AbortSignal,
): Promise<ImportResult> {
  const call = mesh.background({ name: "import-catalogue", timeoutMs: importTimeoutMs, signal });
  const answer = await mesh
    .client(CatalogService)
    .importProducts(importParts(catalogue), call)
    .catch((error: unknown) => {
      throw callFailure("the catalogue can't be imported", error);
    });
  const stocked = await stockMissing(mesh, catalogue.openingStock, call);
  return {
    created: answer.createdCount,
    updated: answer.updatedCount,
    unchanged: answer.unchangedCount,
    failed: answer.failedCount,
    errors: answer.errors.map(describeRowError),
    stocked,
  };
}

async function* importParts({ categories, products }: Catalogue): AsyncGenerator<ImportProductsRequest> {
  yield { part: { $case: "header", value: { requestId: `import-${randomUUID()}` } } };
  for (const value of categories) yield { part: { $case: "category", value } };
  for (const value of products) yield { part: { $case: "product", value } };
}

function describeRowError({ row, key, reason, message, violations }: ImportRowError): string {
  const fields = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return `row ${row} (${key === "" ? "no key" : key}): ${message} (${reason})${fields === "" ? "" : `: ${fields}`}`;
}
