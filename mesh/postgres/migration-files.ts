import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** One step of a schema. */
export interface MigrationFile {
  /** `0001_init.sql` */
  readonly name: string;
  readonly text: string;
}

const NAME = /^(\d{4})_[a-z0-9_]+\.sql$/;

/**
 * Reads the `.sql` files of a directory in the order of their numbers. Throws, naming the file, when one has no proper
 * name or the numbers are not 0001, 0002 and so on: a gap or a twin is what two merged branches leave behind.
 */
export async function readMigrations(directory: URL): Promise<readonly MigrationFile[]> {
  const entries = await readdir(directory).catch((error: unknown) => {
    throw new Error(`Cannot read the migrations in ${fileURLToPath(directory)}`, { cause: error });
  });
  const names = entries.filter((name) => name.endsWith(".sql")).sort();
  names.forEach((name, index) => {
    const number = NAME.exec(name)?.[1];
    if (number === undefined) throw new Error(`Migration ${name}: the name must be like 0001_init.sql`);
    const expected = String(index + 1).padStart(4, "0");
    if (number !== expected) throw new Error(`Migration ${name}: the number must be ${expected}, the next one`);
  });
  const base = new URL(directory.href.endsWith("/") ? directory.href : `${directory.href}/`);
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(new URL(name, base), "utf8") })));
}

/** The SHA-256 of the text in hex, the same whichever line ends the checkout has. */
export function checksum(file: MigrationFile): string {
  return createHash("sha256").update(file.text.replaceAll("\r\n", "\n")).digest("hex");
}
