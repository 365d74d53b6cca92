import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative } from "node:path";
import { CommandError, runCommand } from "./command.ts";
import { sawSome } from "./runner.ts";

/** Biome's rules and layout. */
export async function checkBiome(root: string): Promise<string> {
  const args = ["check", "--error-on-warnings", "--colors=off"];
  const verbose = runCommand(root, tool(root, "biome"), [...args, "--verbose"]);
  // The list of files buries what is wrong; a second run says it without.
  const printed = await verbose.catch(() => runCommand(root, tool(root, "biome"), args));
  return sawSome(printed.split("\n").filter((line) => /^ {2}- \S+\.ts$/.test(line)).length, "files");
}

/** The types of everything. */
export async function checkTypes(root: string): Promise<string> {
  const isListed = (line: string): boolean => isAbsolute(line);
  const args = ["--project", ".", "--listFiles", "--pretty", "false"];
  const printed = await runCommand(root, tool(root, "tsc"), args).catch((error: unknown) => {
    if (!(error instanceof CommandError)) throw error;
    const problems = error.message.split("\n").filter((line) => !isListed(line));
    throw new CommandError(problems.join("\n"), { cause: error });
  });
  const own = printed.split("\n").filter((line) => isListed(line) && isOwn(root, line));
  return sawSome(own.length, "files");
}

/** Files, exports and dependencies that nothing uses. */
export async function checkUnused(root: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "shopmesh-knip-"));
  try {
    const count = join(folder, "count.txt");
    const reporter = join(import.meta.dirname, "knip-count.mjs");
    const options = JSON.stringify({ file: count });
    const args = ["--no-progress", "--reporter", "symbols", "--reporter", reporter, "--reporter-options", options];
    await runCommand(root, tool(root, "knip"), args);
    return sawSome(Number(await readFile(count, "utf8")), "files");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every test. vitest fails by itself when it finds none. */
export async function runTests(root: string): Promise<string> {
  const printed = await runCommand(root, tool(root, "vitest"), ["run", "--no-color"]);
  return sawSome(numberIn(printed, /Tests\s+(\d+) passed/), "tests");
}

function tool(root: string, name: string): string {
  return join(root, "node_modules/.bin", name);
}

function isOwn(root: string, path: string): boolean {
  const place = relative(root, path);
  return !place.startsWith("..") && !place.startsWith("node_modules");
}

function numberIn(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
