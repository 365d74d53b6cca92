import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** A difference between what the protos say and what stands in a folder. Paths are relative to it, with `/`. */
export interface Difference {
  readonly path: string;
  readonly kind: "missing" | "changed" | "stale";
}

/**
 * Generates everything that belongs in gen/ into a new temporary folder, hands that folder to `use`, and removes it.
 * Needs no network. Throws with buf's and the plugins' own words when the contracts are not good.
 *
 * @param root the project's folder, with buf.yaml, buf.gen.yaml and node_modules
 */
export async function withGenerated<T>(root: string, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "shopmesh-generate-"));
  try {
    const descriptors = join(folder, "gen", "descriptors.binpb");
    await buf(root, ["generate", "--output", folder]);
    await buf(root, ["build", "--as-file-descriptor-set", "--output", descriptors]);
    return await use(join(folder, "gen"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs buf in a folder; its output. Throws an Error that holds what buf printed when it fails. */
export async function buf(cwd: string, args: readonly string[]): Promise<string> {
  try {
    const options = { cwd, maxBuffer: MAX_OUTPUT_BYTES };
    const { stdout } = await run(join(import.meta.dirname, "../node_modules/.bin/buf"), args, options);
    return stdout;
  } catch (cause) {
    throw new Error(`buf ${args[0]} failed\n${printedBy(cause)}`, { cause });
  }
}

/** What differs between a freshly generated folder and one that stands, by path. */
export async function compare(fresh: string, standing: string): Promise<readonly Difference[]> {
  const [wanted, present] = await Promise.all([listFiles(fresh), listFiles(standing)]);
  const differences: Difference[] = [];
  for (const path of wanted) {
    if (!present.has(path)) differences.push({ path, kind: "missing" });
    else if (!(await isSame(join(fresh, path), join(standing, path)))) differences.push({ path, kind: "changed" });
  }
  for (const path of present) {
    if (!wanted.has(path)) differences.push({ path, kind: "stale" });
  }
  return differences.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Makes one folder equal another. Only what differs is touched, and each file changes at once, so that a process which
 * reads the folder meanwhile sees a whole file, old or new.
 */
export async function apply(differences: readonly Difference[], fresh: string, standing: string): Promise<void> {
  for (const { path, kind } of differences) {
    const target = join(standing, path);
    if (kind === "stale") {
      await rm(target);
      await removeEmptyParents(dirname(target), standing);
    } else {
      await mkdir(dirname(target), { recursive: true });
      await writeFile(`${target}.new`, await readFile(join(fresh, path)));
      await rename(`${target}.new`, target);
    }
  }
}

async function listFiles(folder: string): Promise<ReadonlySet<string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const files = entries.filter((entry) => !entry.isDirectory());
  const paths = files.map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"));
  return new Set(paths.toSorted());
}

async function isSame(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([readFile(a), readFile(b)]);
  return left.equals(right);
}

async function removeEmptyParents(folder: string, root: string): Promise<void> {
  for (let current = folder; current !== root; current = dirname(current)) {
    if ((await readdir(current)).length > 0) return;
    await rmdir(current);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function printedBy(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const printed = ["stdout" in cause ? String(cause.stdout) : "", "stderr" in cause ? String(cause.stderr) : ""].map(
    (text) => text.trim(),
  );
  return printed.filter((text) => text !== "").join("\n") || cause.message;
}
