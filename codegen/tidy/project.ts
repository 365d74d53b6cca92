import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkSource, type Resolver, resolve } from "./rules.ts";
import { readSource, type Source } from "./source.ts";

/** Not ours to keep tidy: packages, what is built or generated, and a shop's data. */
const NOT_OURS = ["node_modules", "dist", "gen", ".git", ".shopmesh", "coverage"];

/** A project as the rules see it. */
export interface Project {
  readonly sources: readonly Source[];
  /** Every file, source or not, by its path. */
  readonly files: ReadonlySet<string>;
  readonly resolver: Resolver;
  /** The parsed package.json. */
  readonly manifest: unknown;
  /** The parsed package-lock.json. */
  readonly lock: unknown;
  /** The text of docs/dependencies.md. */
  readonly dependencies: string;
}

/** Reads a whole project. Throws when a source cannot be parsed. */
export async function readProject(root: string): Promise<Project> {
  const ours = await listFiles(root, "", NOT_OURS);
  const files = new Set([...ours, ...(await listFiles(root, "gen", []))]);
  const paths = ours.filter((path) => /\.(ts|mjs)$/.test(path));
  const read = async (path: string): Promise<string> => await readFile(join(root, path), "utf8");
  const sources = await Promise.all(paths.map(async (path) => readSource(path, await read(path))));
  const manifest: unknown = JSON.parse(await read("package.json"));
  const resolver = { has: (path: string) => files.has(path), subpaths: stringsOf(propertyOf(manifest, "imports")) };
  const lock: unknown = JSON.parse(await read("package-lock.json"));
  return { sources, files, resolver, manifest, lock, dependencies: await read("docs/dependencies.md") };
}

/** Every rule; a line for each way in which one is broken. */
export function checkProject(project: Project): readonly string[] {
  return [
    ...project.sources.flatMap((source) => checkSource(source, project.resolver)),
    ...checkServices(project.files),
    ...checkMigrations(project.files),
    ...checkDependencies(project.manifest, project.dependencies),
    ...checkLock(project.lock),
  ];
}

/** Who imports whom, among the project's own files. */
export function importGraph({ sources, resolver }: Project): ReadonlyMap<string, readonly string[]> {
  const edges = sources.map(({ path, imports }): [string, readonly string[]] => {
    const targets = imports.map(({ specifier }) => resolve(path, specifier, resolver));
    return [path, targets.flatMap((target) => (target !== undefined && "file" in target ? [target.file] : []))];
  });
  return new Map(edges);
}

/** A README.md in the folder of every service. */
export function checkServices(files: ReadonlySet<string>): readonly string[] {
  const services = [...files].filter((path) => /^services\/[^/]+\/main\.ts$/.test(path));
  const readmes = services.map((path) => path.replace("main.ts", "README.md"));
  return readmes.filter((path) => !files.has(path)).map((path) => `${path} is missing`);
}

/** Migrations are `0001_name.sql`, `0002_name.sql` and so on, with no number left out or used twice. */
export function checkMigrations(files: ReadonlySet<string>): readonly string[] {
  const folders = new Map<string, string[]>();
  for (const path of files) {
    const [, folder, name] = /^(.*\/migrations)\/([^/]+)$/.exec(path) ?? [];
    if (folder !== undefined && name !== undefined) folders.set(folder, [...(folders.get(folder) ?? []), name]);
  }
  return [...folders].flatMap(([folder, names]) =>
    names.toSorted().flatMap((name, index) => {
      const number = String(index + 1).padStart(4, "0");
      const isRight = name.startsWith(`${number}_`) && /^\d{4}_[a-z0-9_]+\.sql$/.test(name);
      return isRight ? [] : [`${folder}/${name} should be ${number}_<name>.sql`];
    }),
  );
}

/** Every direct dependency has an exact version and one line in docs/dependencies.md, and no line lacks its package. */
export function checkDependencies(manifest: unknown, text: string): readonly string[] {
  const direct = ["dependencies", "devDependencies"].flatMap((kind) =>
    Object.entries(recordOf(propertyOf(manifest, kind))),
  );
  const listed = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
  const names = new Set(direct.map(([name]) => name));
  return [
    ...direct
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(String(version)))
      .map(([name, version]) => `package.json: the version ${version} of ${name} is not exact`),
    ...[...names]
      .filter((name) => !listed.includes(name))
      .map((name) => `docs/dependencies.md has no line for ${name}`),
    ...listed
      .filter((name) => name === undefined || !names.has(name))
      .map((name) => `docs/dependencies.md names ${name}`),
  ];
}

/**
 * The lock names no place to fetch from, so that each machine uses its own registry, and leaves no platform out: npm
 * drops those that it cannot fetch when it writes a lock, and then refuses to install from it.
 */
export function checkLock(lock: unknown): readonly string[] {
  const packages = Object.entries(recordOf(propertyOf(lock, "packages")));
  if (packages.length === 0) return ["package-lock.json names no packages"];
  const names = new Set(packages.map(([path]) => path));
  return packages.flatMap(([path, entry]) => {
    const optional = Object.keys(recordOf(propertyOf(entry, "optionalDependencies")));
    const absent = optional.filter(
      (name) => !names.has(`node_modules/${name}`) && !names.has(`${path}/node_modules/${name}`),
    );
    const problems = absent.map((name) => `package-lock.json leaves out ${name}, which ${path} names`);
    if (propertyOf(entry, "resolved") !== undefined) problems.push(`package-lock.json: ${path} has "resolved"`);
    else if (/\bregistry\./.test(JSON.stringify(entry))) problems.push(`package-lock.json: ${path} names a registry`);
    return problems;
  });
}

async function listFiles(root: string, folder: string, except: readonly string[]): Promise<readonly string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  const nested = entries
    .filter(({ name }) => !except.includes(name))
    .map(async (entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return await listFiles(root, path, except);
      return entry.isFile() ? [path] : [];
    });
  return (await Promise.all(nested)).flat();
}

function propertyOf(value: unknown, name: string): unknown {
  return recordOf(value)[name];
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function stringsOf(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(recordOf(value));
  return Object.fromEntries(entries.flatMap(([key, text]) => (typeof text === "string" ? [[key, text]] : [])));
}
