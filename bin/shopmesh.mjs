#!/usr/bin/env node
/** The shopmesh command: the bundle of cli/main.ts, made first if it is missing or older than the sources. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "..");

// In a process of its own, so that nothing of the bundler stays in a command that may run for weeks. What it says
// belongs to a person, not to a program that reads the command's output.
const { status } = spawnSync(process.execPath, [join(root, "build.mjs"), "--quiet"], { stdio: ["ignore", 2, 2] });
if (status !== 0) process.exit(1);

await import(pathToFileURL(join(root, "dist/cli/main.js")).href);
