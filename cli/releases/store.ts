import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "#mesh/clock.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import { codeOf } from "../operator-error.ts";
import { programPath } from "../topology.ts";
import { type Build, buildId, packageAbove, readBuild } from "./build.ts";

/** A build that is kept, under the name it goes by. */
export interface Release {
  readonly kind: string;
  readonly version: string;
  /** Its program. */
  readonly file: string;
}

/** Which build is wanted; see mesh.supervisor.v1.Release. Both may be empty. */
export interface WantedRelease {
  readonly version: string;
  readonly programsDir: string;
}

/** Keeps copies of the programs that run, so that what is built later changes nothing about them. */
export interface ReleaseStore {
  /** Keeps a build and returns it, or says in words why there is none. What is kept already is found again. */
  take(kind: string, wanted: WantedRelease): Promise<Result<Release, string>>;
  /** Removes the oldest of a kind, but for those in use. */
  prune(kind: string, inUse: ReadonlySet<string>): Promise<void>;
}

/** How many releases of a kind are kept, whether they are in use or not. */
const keptReleases = 5;
const factsName = "release.json";
const draftPrefix = ".new-";

/** What is known of a release that is kept. */
interface Facts {
  readonly build: string;
  /** The bytes of each file, by its path: a copy that a crash of the machine cut short is not used. */
  readonly files: Readonly<Record<string, number>>;
}

/**
 * The releases in `dir`, as `<kind>/<version>/`, each a folder of built programs with one program in it. Builds are taken
 * from `programsDir` where nothing else is asked for.
 */
export function createReleaseStore(options: {
  readonly dir: string;
  readonly programsDir: string;
  readonly clock: Clock;
}): ReleaseStore {
  const pathOf = (kind: string, version: string): string => join(options.dir, kind, version);
  const releaseOf = (kind: string, version: string): Release => ({
    kind,
    version,
    file: join(pathOf(kind, version), programPath(kind)),
  });
  const used = async (kind: string, version: string): Promise<Release> => {
    const now = options.clock.now();
    await utimes(join(pathOf(kind, version), factsName), now, now);
    return releaseOf(kind, version);
  };
  const keep = async (kind: string, version: string, from: { build: Build; programsDir: string }): Promise<Release> => {
    const path = pathOf(kind, version);
    const known = await readFacts(path);
    if (known === undefined) await writeRelease(path, from);
    return used(kind, version);
  };
  // One after the other: two who write the same release at once would be in each other's way.
  let last: Promise<unknown> = Promise.resolve();
  const keepInTurn: typeof keep = (...args) => {
    const kept = last.then(() => keep(...args));
    last = kept.catch(() => undefined);
    return kept;
  };
  return {
    async take(kind, { version, programsDir }) {
      const named = version === "" ? undefined : await readFacts(pathOf(kind, version));
      if (named !== undefined && programsDir === "") return ok(await used(kind, version));
      const from = programsDir === "" ? options.programsDir : programsDir;
      const build = await readBuild(kind, from);
      if (build === undefined) return fail(`there is no program of ${kind} in ${from}`);
      if (build.missing.length > 0) {
        return fail(
          `${from} stands in no checkout: ${build.missing.join(", ")} is not beside it, and ${kind} needs it`,
        );
      }
      // A name of the form of an id means that build and no other: a slip of the pen must not give it to what is here.
      if (buildId.test(version) && version !== build.id) return fail(`no build ${version} of ${kind} is kept`);
      if (named !== undefined && named.build !== build.id) return fail(`${version} is another build already`);
      return ok(await keepInTurn(kind, version === "" ? build.id : version, { build, programsDir: from }));
    },
    async prune(kind, inUse) {
      const folder = join(options.dir, kind);
      const names = await readdir(folder).catch(() => []);
      const aged = await Promise.all(names.map(async (name) => ({ name, time: await lastUse(join(folder, name)) })));
      const newestFirst = aged.toSorted((one, other) => other.time - one.time);
      const old = newestFirst.filter(({ name }, index) => index >= keptReleases && !inUse.has(name));
      for (const { name } of old) await rm(join(folder, name), { recursive: true, force: true });
    },
  };
}

/** Writes a release whole or not at all: under another name first. */
async function writeRelease(path: string, from: { build: Build; programsDir: string }): Promise<void> {
  const draft = join(dirname(path), `${draftPrefix}${randomUUID()}`);
  try {
    for (const [file, contents] of from.build.files) {
      await mkdir(dirname(join(draft, file)), { recursive: true, mode: 0o700 });
      await writeFile(join(draft, file), contents);
    }
    const sizes = [...from.build.files].map(([file, contents]) => [file, contents.length] as const);
    const facts: Facts = { build: from.build.id, files: Object.fromEntries(sizes) };
    await writeFile(join(draft, factsName), JSON.stringify(facts));
    await writeFile(join(draft, "package.json"), manifest);
    // Some packages carry binaries, and stay where they were installed.
    await symlink(join(packageAbove(from.programsDir), "node_modules"), join(draft, "node_modules"));
    await rm(path, { recursive: true, force: true });
    await rename(draft, path);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** What a program finds of the package that it was built in. */
const manifest = `${JSON.stringify({ type: "module", imports: { "#gen/*": "./gen/*" } })}\n`;

async function readFacts(path: string): Promise<Facts | undefined> {
  const text = await readFile(join(path, factsName), "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    // Written whole by a supervisor, this very program.
    const facts = JSON.parse(text) as Facts;
    const sizes = Object.entries(facts.files).map(async ([file, size]) => (await sizeOf(join(path, file))) === size);
    return (await Promise.all(sizes)).every(Boolean) ? facts : undefined;
  } catch {
    return undefined; // the machine itself went down while it was written
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** Epoch ms; 0 for what is no whole release. */
async function lastUse(path: string): Promise<number> {
  return stat(join(path, factsName)).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}
