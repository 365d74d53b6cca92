#!/usr/bin/env node
/** The shopmesh command: the bundle of cli/main.ts, made first if it is missing or older than the sources. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "..");

// In a process of its own, so that nothing of the bundler stays in a command that may run for weeks. What it says
// belongs to a person, not to a program that reads the command's output.
const { status } = spawnSync(process.execPath, [join(root, "build.mjs"), "--quiet"], { stdio: ["ignore", 2, 2] });
const program = join(root, "dist/cli/main.js");
if (status !== 0) {
  // Whoever looks after a shop that runs is not kept from it by what somebody else is writing.
  if (wantsNewBuild(process.argv.slice(2)) || !existsSync(program)) process.exit(1);
  console.error("shopmesh: the sources can't be built; this is the command of the last build");
}

await import(pathToFileURL(program).href);

/** Whether a command brings in what was just built: not one that ends a canary, or goes back to what was here before. */
function wantsNewBuild([command, ...options]) {
  const otherwise = options.some((option) => /^--(version|from|promote|end)(=|$)/.test(option));
  return command === "up" || (["rollout", "canary"].includes(command) && !otherwise);
}
