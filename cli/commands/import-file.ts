import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { MeshNode } from "#mesh/mesh.ts";
import { CatalogueError, readCatalogue } from "../../sample/catalogue.ts";
import { importCatalogue } from "../catalogue/import.ts";
import { exitCodes, OperatorError } from "../operator-error.ts";
import type { Output } from "../output.ts";

/** Brings a catalogue file into the shop. Returns the exit code: 1 when rows were left out. Throws OperatorError. */
export async function importFile(options: {
  readonly mesh: MeshNode;
  readonly path: string;
  readonly output: Output;
}): Promise<number> {
  const { mesh, path, output } = options;
  const catalogue = await readCatalogue(pathToFileURL(resolve(path))).catch((error: unknown) => {
    if (!(error instanceof CatalogueError)) throw error;
    const [message = "", ...details] = error.message.split("\n").map((line) => line.trim());
    throw new OperatorError(message, { details, cause: error });
  });
  const result = await importCatalogue(mesh, catalogue);
  const { created, updated, unchanged, failed, stocked } = result;
  output.write(`${created} rows added, ${updated} replaced, ${unchanged} already there, ${failed} left out\n`);
  output.write(`${stocked} SKUs given their first stock\n`);
  for (const error of result.errors) output.write(`  ${error}\n`);
  return failed === 0 ? exitCodes.ok : exitCodes.failed;
}
