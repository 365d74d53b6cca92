/**
 * How many orders a second does the whole shop take, and what does that cost?
 *
 *     npx tsx bench/orders.ts [--shoppers 16] [--seconds 20] [--lines 3] [--warm-up 30] [--start-only] [--profile] [--keep]
 *
 * Starts the real shop (every process, PostgreSQL with fsync) on free ports in a temporary folder, twice; then shoppers
 * in a process of their own buy through the public gateway, and at the end the books are checked. Linux alone. Exits
 * with 1 when a check failed. `--profile` also writes a processor profile of each process, and shows where time went;
 * the figures are lower then. `--keep` leaves the folder, with the logs.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { withRunningShop } from "../cli/commands/running-shop.ts";
import { watchStopSignals } from "../cli/stop-signals.ts";
import { readBooks } from "../e2e/audit/read-books.ts";
import {
  build,
  builtPrograms,
  type OwnShop,
  root,
  type Watched,
  withShop,
  withTemporaryFolder,
} from "../e2e/support/shop.ts";
import { readCatalogue } from "../sample/catalogue.ts";
import { audit, type Check } from "./support/audit.ts";
import { runLoad } from "./support/load.ts";
import type { LoadPlan, LoadResult } from "./support/load-plan.ts";
import { createOperator } from "./support/operator.ts";
import { type CpuReading, cpuBetween, readCpu, readMachineCpu, readMemory } from "./support/processes.ts";
import { createProfiling, type Profiling } from "./support/profile.ts";
import * as report from "./support/report.ts";

const idleSeconds = 5;
const unitsPerSku = 100_000_000n;
const allPaidWithinMs = 120_000;

interface Options {
  readonly shoppers: number;
  readonly seconds: number;
  readonly lines: number;
  readonly warmUpSeconds: number;
  readonly startOnly: boolean;
  readonly profile: boolean;
  readonly keep: boolean;
}

function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shoppers: { type: "string", default: "16" },
      seconds: { type: "string", default: "20" },
      lines: { type: "string", default: "3" },
      "warm-up": { type: "string", default: "30" },
      "start-only": { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
    },
  });
  return {
    shoppers: wholeNumber("--shoppers", values.shoppers, 1000),
    // Guests' tokens are good for 15 minutes.
    seconds: wholeNumber("--seconds", values.seconds, 600),
    lines: wholeNumber("--lines", values.lines, 30),
    warmUpSeconds: wholeNumber("--warm-up", values["warm-up"], 60),
    startOnly: values["start-only"],
    profile: values.profile,
    keep: values.keep,
  };
}

function wholeNumber(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most) throw new Error(`${name} must be a number from 1 to ${most}`);
  return value;
}

async function main(options: Options, signal: AbortSignal): Promise<boolean> {
  await build();
  return withTemporaryFolder(options.keep || options.profile, async (folder) => {
    const profiling = options.profile ? await createProfiling(folder, builtPrograms) : undefined;
    const start = { dataDir: `${folder}/data`, programsDir: profiling?.programsDir ?? builtPrograms, signal };
    const firstMs = await withShop(start, async ({ shop }) => shop.startedInMs);
    const passed = await withShop(start, async (bench) => {
      report.printStarts([firstMs, bench.shop.startedInMs]);
      const measuring = { bench, options, profiling, signal };
      return options.startOnly ? measureIdle(measuring) : measureLoad(measuring, start.dataDir);
    });
    if (profiling !== undefined && !options.startOnly) console.log(`\n${await profiling.summarize()}`);
    return passed;
  });
}

interface Measuring {
  readonly bench: OwnShop;
  readonly options: Options;
  readonly profiling: Profiling | undefined;
  readonly signal: AbortSignal;
}

async function measureIdle({ bench, signal }: Measuring): Promise<true> {
  const cpu = await startCpu(await watched(bench));
  await delay(idleSeconds * 1000, undefined, { signal });
  report.printCpu(`CPU when nobody shops, in ${idleSeconds} s`, await cpu.end());
  report.printMemory({ idle: await readMemory(await bench.processes()) });
  return true;
}

async function measureLoad(measuring: Measuring, dataDir: string): Promise<boolean> {
  const { bench, options, signal } = measuring;
  const skus = (await readCatalogue(new URL("sample/catalogue.json", root))).openingStock.map(({ sku }) => sku);
  const plan: LoadPlan = { ...options, address: bench.shop.address, skus };
  const settings = {
    dataDir,
    port: 0,
    postgresUrl: undefined,
    postgresPrefix: "",
    logLevel: "info",
    verbose: false,
    instances: {},
  } as const;
  return withRunningShop(settings, async (mesh) => {
    const operator = createOperator(mesh, signal);
    await measureIdle(measuring);
    await operator.topUp(skus, unitsPerSku);
    const before = await bench.processes();
    const { load, cpu } = await measureWindow(plan, measuring);
    const allPaidInTime = await operator.waitUntilPaid(load.customerIds, allPaidWithinMs);
    const after = await bench.processes();
    const memory = await readMemory(after);
    const restarted = after.filter(({ pid }) => !before.some((old) => old.pid === pid)).map(({ name }) => name);
    const orders = await operator.orders(load.customerIds);
    const aftermath = { allPaidInTime, orders, restarted, books: await readBooks(bench.source) };
    const completion = report.completionOf(orders, load);
    report.printThroughput(plan, load, completion);
    report.printLatencies(plan, load);
    report.printFailures(load);
    report.printCpu(`CPU while ${plan.shoppers} shoppers shop`, cpu, completion.paidInWindow);
    report.printMemory({ "after the load": memory });
    const checks = audit(load, aftermath);
    report.printChecks(checks);
    return checks.every(({ passed }: Check) => passed);
  });
}

async function measureWindow(
  plan: LoadPlan,
  { bench, profiling, signal }: Measuring,
): Promise<{ readonly load: LoadResult; readonly cpu: report.CpuUse }> {
  let begun: RunningCpu | undefined;
  let cpu: report.CpuUse | undefined;
  const observer = {
    async windowBegins(loadPid: number) {
      const processes = await watched(bench, { name: "shoppers (load)", pid: loadPid });
      profiling?.toggle(processes);
      begun = await startCpu(processes);
    },
    async windowEnds() {
      cpu = await begun?.end();
      profiling?.toggle(await bench.processes());
    },
  };
  const load = await runLoad(plan, observer, signal);
  if (cpu === undefined) throw new Error("the load ended before its window");
  return { load, cpu };
}

interface RunningCpu {
  end(): Promise<report.CpuUse>;
}

async function startCpu(processes: readonly Watched[]): Promise<RunningCpu> {
  const startMs = performance.now();
  const machine = await readMachineCpu();
  const begin: CpuReading = await readCpu(processes);
  return {
    async end() {
      const seconds = (performance.now() - startMs) / 1000;
      const machineNow = await readMachineCpu();
      return {
        seconds,
        byName: cpuBetween(begin, await readCpu(processes)),
        machineSeconds: machineNow.busySeconds - machine.busySeconds,
        stolenSeconds: machineNow.stolenSeconds - machine.stolenSeconds,
      };
    },
  };
}

// The supervisor runs in this process; it reads every line that the services log.
async function watched(bench: OwnShop, ...more: readonly Watched[]): Promise<readonly Watched[]> {
  return [...(await bench.processes()), { name: "supervisor (with this bench)", pid: process.pid }, ...more];
}

const signals = watchStopSignals();
try {
  const passed = await main(readOptions(process.argv.slice(2)), signals.stop);
  process.exitCode = passed ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error && !signals.stop.aborted ? (error.stack ?? error.message) : "stopped");
  process.exitCode = 1;
} finally {
  signals.close();
}
