import { existsSync, rmSync, writeFileSync } from "node:fs";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { readCatalogue } from "../../sample/catalogue.ts";
import type { Terminal } from "../logs/terminal.ts";
import { callFailure } from "../operator-client.ts";
import { importCatalogue } from "./import.ts";

const sampleUrl = new URL("../../sample/catalogue.json", import.meta.url);
const listTimeoutMs = 10_000;
const mostErrorsShown = 5;

/**
 * Loads the sample catalogue into a shop that has no product at all. A marker file stands from the first step to the
 * last: where a start finds it, the load before was cut short or left rows out, and is done again, which completes it.
 * Throws OperatorError.
 */
export async function loadSampleIfEmpty(options: {
  /** As the operator. */
  readonly mesh: MeshNode;
  readonly markerFile: string;
  readonly terminal: Terminal;
  readonly signal?: AbortSignal;
}): Promise<void> {
  const { mesh, markerFile, terminal, signal } = options;
  if (!existsSync(markerFile) && !(await isEmpty(mesh, signal))) return;
  writeFileSync(markerFile, "");
  const catalogue = await readCatalogue(sampleUrl);
  const result = await importCatalogue(mesh, catalogue, signal);
  if (result.failed === 0) {
    rmSync(markerFile);
    const { products } = catalogue;
    terminal.say(`the shop was empty: loaded ${products.length} sample products, with stock of ${result.stocked} SKUs`);
  } else {
    for (const error of result.errors.slice(0, mostErrorsShown)) terminal.warn(error);
    terminal.warn(`${result.failed} rows of the sample catalogue could not be loaded; the next start tries again`);
  }
}

async function isEmpty(mesh: MeshNode, signal: AbortSignal | undefined): Promise<boolean> {
  const call = mesh.background({ name: "look-for-products", timeoutMs: listTimeoutMs, signal });
  const request = { categorySlug: "", pageSize: 1, pageToken: "" };
  const { products } = await mesh
    .client(CatalogService)
    .listProducts(request, call)
    .catch((error: unknown) => {
      throw callFailure("the catalogue can't be read", error);
    });
  return products.length === 0;
}
