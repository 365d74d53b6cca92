import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { codeOf } from "../operator-error.ts";
import { programPath } from "../topology.ts";

/** A built program with all that it needs, but for the packages that stay in node_modules. */
export interface Build {
  /** What it is, in short: the first 12 hex digits of the SHA-256 of its files. */
  readonly id: string;
  /** By their paths in the folder of built programs. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** What was generated, is needed, and is not there: the folder was moved away from its checkout. */
  readonly missing: readonly string[];
}

/** The form of a build's id. */
export const buildId = /^[0-9a-f]{12}$/;

/** More than any program has; beyond it the folder is something else. */
const maxFiles = 1_000;

/** Reads the program of a kind from a folder of built programs; undefined when there is none. */
export async function readBuild(kind: string, programsDir: string): Promise<Build | undefined> {
  const folder = posix.dirname(programPath(kind));
  const names = await filesBelow(programsDir, folder);
  if (!names.includes(programPath(kind))) return undefined;
  const files = new Map<string, Buffer>();
  for (let waiting: readonly string[] = names; waiting.length > 0; ) {
    if (files.size + waiting.length > maxFiles) throw new Error(`${programsDir} has too many files for ${kind}`);
    const read = await Promise.all(waiting.map(async (path) => [path, await readIfThere(programsDir, path)] as const));
    for (const [path, contents] of read) if (contents !== undefined) files.set(path, contents);
    const wanted = read.flatMap(([path, contents]) => (contents === undefined ? [] : referencesOf(path, contents)));
    waiting = [...new Set(wanted)].filter((path) => !files.has(path));
  }
  const missing: string[] = [];
  for (const path of new Set([...files.values()].flatMap(generatedOf))) {
    const contents = await readIfThere(packageAbove(programsDir), path);
    if (contents === undefined) missing.push(path);
    else files.set(path, contents);
  }
  return { id: idOf(files), files, missing };
}

/** The nearest folder, from `folder` upwards, in which the packages of a program are installed. */
export function packageAbove(folder: string): string {
  for (let path = folder; ; path = dirname(path)) {
    if (existsSync(join(path, "node_modules")) || dirname(path) === path) return path;
  }
}

// What was generated and is no code is read from where it is, under the name that the package gives it.
const generated = /"#(gen\/[\w.-]+\.binpb)"/g;

function generatedOf(contents: Buffer): readonly string[] {
  return [...contents.toString("latin1").matchAll(generated)].map(([, path = ""]) => path);
}

// What a bundle loads later, and the files it reads, as build.mjs leaves them: relative to the bundle.
const reference = /(?:import\(|new URL\()"(\.\.?\/[^"]+)"/g;

function referencesOf(path: string, contents: Buffer): readonly string[] {
  if (!path.endsWith(".js")) return [];
  const paths = [...contents.toString("latin1").matchAll(reference)].map(([, target = ""]) =>
    posix.join(posix.dirname(path), target),
  );
  // A folder comes with the program's own, or is not of the build.
  return paths.filter((found) => !found.startsWith("..") && !found.endsWith("/"));
}

async function filesBelow(programsDir: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(programsDir, folder), { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
      throw error;
    },
  );
  return entries
    .filter((entry) => entry.isFile() && !/\.(map|new)$/.test(entry.name))
    .map((entry) => posix.join(folder, entry.parentPath.slice(join(programsDir, folder).length), entry.name))
    .toSorted();
}

async function readIfThere(programsDir: string, path: string): Promise<Buffer | undefined> {
  return readFile(join(programsDir, path)).catch((error: unknown) => {
    // Text in a bundle may look like a reference and be none.
    if (codeOf(error) === "ENOENT" || codeOf(error) === "EISDIR") return undefined;
    throw error;
  });
}

function idOf(files: ReadonlyMap<string, Buffer>): string {
  const hash = createHash("sha256");
  for (const [path, contents] of [...files].toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`${path}\0${contents.length}\0`).update(contents);
  }
  return hash.digest("hex").slice(0, 12);
}
