import { posix } from "node:path";
import type { Import, Source, Use } from "./source.ts";

const MAX_FILE_LINES = 300;
const MAX_FUNCTION_LINES = 60;

/** Who may touch what; a path that ends in `/` is a folder. Tests and tools may besides touch what is marked so. */
const OWNERS: Readonly<Record<Use["what"], { readonly paths: readonly string[]; readonly testsToo: boolean }>> = {
  "Date.now": { paths: ["mesh/clock.ts"], testsToo: true },
  "new Date()": { paths: ["mesh/clock.ts"], testsToo: true },
  "Math.random": { paths: ["mesh/"], testsToo: false },
  "process.env": { paths: ["mesh/config.ts", "cli/"], testsToo: true },
  "grpc.experimental": { paths: ["mesh/discovery/"], testsToo: false },
};

const RESULT = "mesh/result.ts";

/** Folders and files that no shop runs: they measure, generate, build and test. */
const TOOLS = ["bench/", "build.mjs", "codegen/", "e2e/", "testing/", "bin/", "vitest.config.ts"];

/** How a project's imports lead to its files. */
export interface Resolver {
  /** Whether a file exists. */
  readonly has: (path: string) => boolean;
  /** Sub-path imports, as in package.json: `#mesh/*` to `./mesh/*`. */
  readonly subpaths: Readonly<Record<string, string>>;
}

/** Where an import leads: a file of the project, or a package or a node module by its name. */
export type Target = { readonly file: string } | { readonly outside: string };

/** Every rule that concerns one file; a line for each way in which it is broken. */
export function checkSource(source: Source, resolver: Resolver): readonly string[] {
  return [...checkLengths(source), ...checkUses(source), ...checkImports(source, resolver)];
}

/** Files ≤ 300 lines, functions ≤ 60. */
function checkLengths(source: Source): readonly string[] {
  const tooLong = source.functions.filter(({ lineCount }) => lineCount > MAX_FUNCTION_LINES);
  const problems = tooLong.map(({ line, lineCount }) => `${source.path}:${line} is a function of ${lineCount} lines`);
  if (source.lineCount > MAX_FILE_LINES) problems.push(`${source.path} has ${source.lineCount} lines`);
  return problems;
}

/** Clocks, randomness, the environment and grpc's experiments only where they belong. */
function checkUses(source: Source): readonly string[] {
  return source.uses
    .filter(({ what }) => {
      const { paths, testsToo } = OWNERS[what];
      return !isIn(source.path, paths) && !(testsToo && (isTest(source.path) || isIn(source.path, TOOLS)));
    })
    .map(
      ({ what, line }) => `${source.path}:${line} uses ${what}, which belongs to ${OWNERS[what].paths.join(" and ")}`,
    );
}

/** Which code may know of which. */
function checkImports(source: Source, resolver: Resolver): readonly string[] {
  return source.imports.flatMap((imported) => {
    const target = resolve(source.path, imported.specifier, resolver);
    const problem = target === undefined ? "leads nowhere" : forbidden(source.path, target);
    return problem === undefined ? [] : [`${source.path}:${imported.line} imports ${imported.specifier}: ${problem}`];
  });
}

/** Where an import of a file leads; undefined when that is a file which does not exist. */
export function resolve(from: string, specifier: Import["specifier"], resolver: Resolver): Target | undefined {
  const file = fileOf(from, specifier, resolver.subpaths);
  if (file === undefined) return { outside: specifier };
  return resolver.has(file) ? { file } : undefined;
}

function fileOf(from: string, specifier: string, subpaths: Resolver["subpaths"]): string | undefined {
  if (specifier.startsWith(".")) return posix.join(posix.dirname(from), specifier);
  for (const [pattern, target] of Object.entries(subpaths)) {
    const prefix = pattern.slice(0, -1);
    if (specifier.startsWith(prefix)) return posix.normalize(target.replace("*", specifier.slice(prefix.length)));
  }
  return specifier.startsWith("#") ? specifier : undefined;
}

function forbidden(from: string, target: Target): string | undefined {
  if (isDomain(from))
    return isOwnDomain(from, target) ? undefined : `domain code imports its own domain files and ${RESULT} only`;
  if ("outside" in target) return undefined;
  const to = target.file;
  if (isOwnFolder(from, to)) return undefined;
  if (isTestSupport(to) && !isTest(from) && !isIn(from, ["e2e/", "bench/"])) return "only tests import test support";
  const home = homeOf(from);
  if (home.startsWith("services/") || home.startsWith("simulators/")) {
    // The simulators stand in for the world outside, so a test may run one in its own process.
    const isAllowed = isIn(to, ["gen/", "mesh/"]) || (isTest(from) && isIn(to, ["testing/", "simulators/"]));
    return isAllowed ? undefined : "a service imports gen, mesh and its own folder only";
  }
  if (home === "mesh" && !isIn(to, isTest(from) ? ["gen/", "testing/"] : ["gen/"])) return "the mesh imports gen only";
  if (isIn(to, ["services/", "simulators/"]) && !isIn(from, ["e2e/", "bench/"]))
    return "a service is called, not imported";
  if (home === "e2e" && isIn(to, ["bench/"])) return "measurements use tests, not the other way round";
  return undefined;
}

/** The part of the project a file belongs to: `services/cart`, `mesh`, `cli`. */
function homeOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return first === "services" || first === "simulators" ? `${first}/${second}` : first;
}

function isOwnFolder(from: string, to: string): boolean {
  return homeOf(from) === homeOf(to) && (!isTestSupport(to) || isTest(from));
}

/** `domain.ts`, and `domain-money.ts` and the like where it grew. */
function isDomain(path: string): boolean {
  return /^domain(-[a-z-]+)?\.ts$/.test(posix.basename(path));
}

function isOwnDomain(from: string, target: Target): boolean {
  if ("outside" in target) return false;
  // Result is how a domain function says that it refuses; it is as pure as they are.
  return target.file === RESULT || (isDomain(target.file) && posix.dirname(target.file) === posix.dirname(from));
}

function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || isTestSupport(path);
}

/** `testing/`, `testing.ts`, `testdata/` and `x.fixture.ts`, at the top or in any part. */
function isTestSupport(path: string): boolean {
  return /(^|\/)(testing|testdata)\//.test(path) || /(^|\/)testing\.ts$|\.fixture\.ts$/.test(path);
}

function isIn(path: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith("/") ? path.startsWith(place) : path === place));
}
