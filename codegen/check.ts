/**
 * `npm run check`: everything that must hold before a change goes in, and what CI runs. Needs no network.
 * `--fast` leaves the tests out.
 */
import { join } from "node:path";
import { checkBreaking, checkGenerated, checkProtoFormat, lintContracts } from "./check/contracts.ts";
import { runSteps, type Step } from "./check/runner.ts";
import { checkBiome, checkTypes, checkUnused, runTests } from "./check/sources.ts";

const root = join(import.meta.dirname, "..");
const print = (text: string): void => console.log(text);

const cheap: readonly Step[] = [
  { name: "buf lint", run: () => lintContracts(root) },
  { name: "buf format", run: () => checkProtoFormat(root) },
  { name: "buf breaking", run: () => checkBreaking(root) },
  { name: "generate", run: () => checkGenerated(root) },
  { name: "biome", run: () => checkBiome(root) },
  { name: "tsc", run: () => checkTypes(root) },
  { name: "knip", run: () => checkUnused(root) },
];
// The tests come last and alone: they measure time, and want the processors for themselves.
const tests: readonly Step[] = process.argv.includes("--fast") ? [] : [{ name: "vitest", run: () => runTests(root) }];

const cheapHeld = await runSteps(cheap, print);
const testsHeld = await runSteps(tests, print);
process.exitCode = cheapHeld && testsHeld ? 0 : 1;
