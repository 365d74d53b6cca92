/**
 * What becomes of an order when a process is killed at the worst moment?
 *
 *     npm run crash-matrix -- [--victim "payments"] [--keep]
 *
 * Real processes and a real PostgreSQL that syncs to disk. For each victim, an order is brought to each point, before and
 * after each call of each scenario, and held there; then the victim is killed. Every order must be at rest within 60 s,
 * in a state that is right, and the books of the whole shop must be. Prints a line a cell; exits with 1 when one failed.
 */
import { parseArgs } from "node:util";
import { buildPrograms, newPlace } from "../support/setup.ts";
import { scenarios } from "./cells.ts";
import { describeResults, startMatrix } from "./matrix.ts";
import { type Victim, victims } from "./wave.ts";

const { values } = parseArgs({
  options: { victim: { type: "string" }, keep: { type: "boolean", default: false } },
});

async function run(chosen: readonly Victim[]): Promise<boolean> {
  const say = (text: string): void => console.log(`${(performance.now() / 1_000).toFixed(0)} s  ${text}`);
  const place = await newPlace();
  const matrix = await startMatrix({ place, scenarios, say });
  let failed = 0;
  let played = 0;
  try {
    say(`${chosen.length * matrix.cells.length} cells, ${matrix.cells.length} at a time`);
    for (const victim of chosen) {
      const results = await matrix.play(victim);
      console.log(describeResults(victim, results));
      failed += results.filter(({ problems }) => problems.length > 0).length;
      played += results.length;
      say(`${played} of ${chosen.length * matrix.cells.length} cells played, ${failed} failed`);
    }
  } finally {
    await matrix.close();
    if (values.keep) console.log(`kept: ${place.dataDir}`);
    else await place.remove();
  }
  return failed === 0;
}

await buildPrograms();
const chosen = victims.filter(({ name }) => values.victim === undefined || name === values.victim);
if (chosen.length === 0) throw new Error(`--victim must be one of ${victims.map(({ name }) => name).join(", ")}`);
process.exitCode = (await run(chosen)) ? 0 : 1;
