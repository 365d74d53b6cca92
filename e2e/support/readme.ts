import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { projectDir } from "./setup.ts";

const run = promisify(execFile);

/** One command hangs, then; a busy machine may need a minute for all. */
const TIMEOUT_MS = 120_000;
/** What npx comes to in this folder, without a second of npm for each call. */
const NPX = 'npx() { local name=$1; shift; "node_modules/.bin/$name" "$@"; }';

/**
 * Types everything that the README shows to callers into one shell, against the shop on this port, and says what came
 * out. Throws at the first command that fails.
 */
export async function runReadmeOfCallers(port: number): Promise<string> {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const script = commandsOf(readme, { from: "## To call it", to: "What holds for every call:" });
  const shell = `set -euo pipefail; SHOPMESH_PORT=${port}; ${NPX}\n${script}`;
  const { stdout } = await run("bash", ["-c", shell], { cwd: projectDir, timeout: TIMEOUT_MS });
  return stdout;
}

/** The indented lines of a part of a Markdown text. */
function commandsOf(markdown: string, { from, to }: { readonly from: string; readonly to: string }): string {
  const [start, end] = [markdown.indexOf(from), markdown.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`the README has no part from "${from}" to "${to}"`);
  const lines = markdown.slice(start, end).split("\n");
  return lines.flatMap((line) => (line.startsWith("    ") ? [line.slice(4)] : [])).join("\n");
}
