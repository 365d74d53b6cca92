/**
 * Does anything get lost, charged twice, oversold or left hanging, whatever breaks and whenever?
 *
 *     npm run chaos -- [--orders 2000] [--seed 7] [--buyers 24] [--minutes 60] [--keep] [--plant]
 *
 * Starts a shop of its own in a temporary folder, with several instances of orders, payments and inventory; lets buyers
 * shop over few units while processes are killed and paused, connections cut and stalled, requests and answers lost, and
 * PostgreSQL killed; heals, waits for quiet, asks for every order once more, and audits the books. Exits with 1 when
 * something that must always be true is not, or when all does not come to rest. `--plant` plants a bug, to see it found.
 */
import { watchStopSignals } from "../../cli/stop-signals.ts";
import { describeFindings, holds } from "../audit/audit.ts";
import { groupBy } from "../audit/figures.ts";
import { buildPrograms, newPlace } from "../support/setup.ts";
import { readOptions } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { type Outcome, runChaos } from "./run.ts";

function report(outcome: Outcome, progress: Progress): boolean {
  const { findings, books, isQuiet, shoppingSeconds, acknowledged } = outcome;
  const counts = (title: string, map: ReadonlyMap<string, number>): string =>
    [
      title,
      ...[...map].toSorted(([a], [b]) => a.localeCompare(b)).map(([what, n]) => `${String(n).padStart(7)}  ${what}`),
    ].join("\n");
  const byState = [...groupBy(books.orders, ({ state }) => state)].map(([state, of]) => [state, of.length] as const);
  console.log(`\n${counts("faults", progress.faults)}`);
  console.log(`\n${counts("what buyers and staff did and met", progress.events)}`);
  console.log(`\n${counts("orders by state", new Map(byState))}`);
  console.log(
    `\n${acknowledged} orders acknowledged in ${shoppingSeconds.toFixed(0)} s, ` +
      `${(acknowledged / shoppingSeconds).toFixed(1)} a second, while things broke`,
  );
  console.log(`\n${describeFindings(findings)}\n`);
  const passed = isQuiet && holds(findings);
  console.log(passed ? "everything that must be true is" : "NOT everything is as it must be");
  return passed;
}

const options = readOptions(process.argv.slice(2));
const signals = watchStopSignals();
const progress = createProgress();
const place = await newPlace();
try {
  await buildPrograms();
  const outcome = await runChaos(options, { place, progress, signal: signals.stop });
  process.exitCode = report(outcome, progress) ? 0 : 1;
} catch (error) {
  console.error(signals.stop.aborted ? "stopped" : error);
  process.exitCode = 1;
} finally {
  progress.close();
  signals.close();
  if (options.keep) console.log(`kept: ${place.dataDir}`);
  else await place.remove();
}
