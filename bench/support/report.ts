import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { mebibytes, quantile, sum, table } from "../../e2e/support/figures.ts";
import type { Check } from "./audit.ts";
import type { LoadPlan, LoadResult } from "./load-plan.ts";
import type { CpuReading, Memory } from "./processes.ts";

/** What was used between the two ends of a span of time. */
export interface CpuUse {
  readonly seconds: number;
  readonly byName: CpuReading;
  /** Of the whole machine: all that runs on it, and what its host took away. */
  readonly machineSeconds: number;
  readonly stolenSeconds: number;
}

/** How many orders became PAID while the load was measured, and how far behind the others were. */
export interface Completion {
  readonly paidInWindow: number;
  /** From CONFIRMED to PAID, of every order. */
  readonly delaysMs: readonly number[];
  /** From the last answer of PlaceOrder until the last order was PAID; at least 0. */
  readonly lastPaidAfterMs: number;
}

/** Reads from the orders' histories, whose times are the shop's own, when each was paid. */
export function completionOf(orders: readonly Order[], load: LoadResult): Completion {
  const times = orders.flatMap(({ history }) => {
    const at = (state: number): number | undefined => history.find((entry) => entry.state === state)?.time?.getTime();
    const confirmed = at(Order_State.CONFIRMED);
    const paid = at(Order_State.PAID);
    return confirmed === undefined || paid === undefined ? [] : [{ confirmed, paid }];
  });
  const lastAnswer = load.accepted.reduce((last, { timeMs }) => Math.max(last, timeMs), 0);
  const lastPaid = times.reduce((last, { paid }) => Math.max(last, paid), 0);
  return {
    paidInWindow: times.filter(({ paid }) => paid >= load.beginTimeMs && paid < load.endTimeMs).length,
    delaysMs: times.map(({ confirmed, paid }) => paid - confirmed),
    lastPaidAfterMs: Math.max(0, lastPaid - lastAnswer),
  };
}

export function printThroughput(plan: LoadPlan, load: LoadResult, completion: Completion): void {
  const inWindow = load.accepted.filter(({ timeMs }) => timeMs >= load.beginTimeMs && timeMs < load.endTimeMs);
  const merged = load.accepted.filter(({ lines }) => lines > plan.lines).length;
  const pending = load.accepted.filter(({ state }) => state !== "CONFIRMED").length;
  const perSecond = (count: number): string => (count / plan.seconds).toFixed(1);
  const { delaysMs, lastPaidAfterMs, paidInWindow } = completion;
  const rows = [
    ["orders accepted per second", perSecond(inWindow.length)],
    ["orders completed (PAID) per second", perSecond(paidInWindow)],
    [
      "CONFIRMED to PAID, p50 / p99 (ms)",
      `${quantile(delaysMs, 0.5).toFixed(0)} / ${quantile(delaysMs, 0.99).toFixed(0)}`,
    ],
    ["all PAID after the last answer (ms)", lastPaidAfterMs.toFixed(0)],
    ["orders in all, warm-up included", String(load.accepted.length)],
    ["of these with lines of the order before", String(merged)],
    ["of these answered as PENDING", String(pending)],
  ];
  print(`${plan.shoppers} shoppers, ${plan.lines} lines an order, ${plan.seconds} s`, table(["", "value"], rows));
}

export function printLatencies(plan: LoadPlan, { latenciesMs }: LoadResult): void {
  const rows = Object.entries(latenciesMs).map(([method, values]) => [
    method,
    String(values.length),
    (values.length / plan.seconds).toFixed(1),
    ...[0.5, 0.95, 0.99, 1].map((part) => quantile(values, part).toFixed(1)),
  ]);
  print("calls, as the shoppers see them (ms)", table(["method", "count", "per s", "p50", "p95", "p99", "max"], rows));
}

export function printFailures({ failures }: LoadResult): void {
  const rows = Object.entries(failures).map(([name, count]) => [name, String(count)]);
  if (rows.length > 0) print("calls that failed", table(["method, code, reason", "count"], rows));
}

/** The processor time of each process; with orders, also what each costs. */
export function printCpu(title: string, use: CpuUse, orders?: number): void {
  const total = sum(use.byName.values());
  const row = (name: string, seconds: number): string[] => [
    name,
    seconds.toFixed(2),
    ((100 * seconds) / use.seconds).toFixed(1),
    ...(orders === undefined ? [] : [((1000 * seconds) / orders).toFixed(2)]),
  ];
  const used = [...use.byName].filter(([, seconds]) => seconds > 0).toSorted(([, a], [, b]) => b - a);
  const rows = [...used.map(([name, seconds]) => row(name, seconds)), row("all of these", total)];
  rows.push(row("everything else on the machine", Math.max(0, use.machineSeconds - total)));
  rows.push(row("taken by the machine's host", use.stolenSeconds));
  const header = ["process", "CPU s", "% of a core", ...(orders === undefined ? [] : ["ms an order"])];
  print(title, table(header, rows));
}

export function printMemory(readings: Readonly<Record<string, ReadonlyMap<string, Memory>>>): void {
  const [first] = Object.values(readings);
  const names = [...(first?.keys() ?? [])];
  const header = ["MiB", ...Object.keys(readings).flatMap((when) => [`${when}, RSS`, `${when}, PSS`])];
  const rows = names.map((name) => [
    name,
    ...Object.values(readings).flatMap((reading) => memoryCells(reading.get(name))),
  ]);
  const totals = Object.values(readings).flatMap((reading) => {
    const all = [...reading.values()];
    const rssBytes = sum(all.map((memory) => memory.rssBytes));
    return memoryCells({ rssBytes, pssBytes: sum(all.map((memory) => memory.pssBytes)) });
  });
  print(
    "memory (the shares, PSS, add up rightly; RSS counts shared pages for each)",
    table(header, [...rows, ["sum", ...totals]]),
  );
}

export function printStarts(startsMs: readonly number[]): void {
  const rows = startsMs.map((ms, index) => [`start ${index + 1}`, (ms / 1000).toFixed(2)]);
  print("start-up: startShop, on a folder that is empty at first", table(["", "s"], rows));
}

export function printChecks(checks: readonly Check[]): void {
  const lines = checks.map(({ name, passed, detail }) => `${passed ? "ok    " : "FAILED"}  ${name}: ${detail}`);
  print("checks", lines.join("\n"));
}

function memoryCells(memory: Memory | undefined): readonly string[] {
  return memory === undefined ? ["-", "-"] : [mebibytes(memory.rssBytes), mebibytes(memory.pssBytes)];
}

function print(title: string, body: string): void {
  console.log(`\n${title}\n\n${body}`);
}
