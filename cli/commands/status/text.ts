import { type Column, fittingTable } from "../../fitting-table.ts";
import type { Paint } from "../../logs/render.ts";
import { shortSpan, spanText } from "../../span-text.ts";
import { describeAuthority } from "../authority-text.ts";
import { ruleTable } from "../rules.ts";
import { describeState, isWell, type ProcessReport } from "./processes.ts";
import type { ShopReport } from "./report.ts";

/** A shop for people: what runs, what is wrong with it, the rules in force, the authorities. */
export function statusText(report: ShopReport, options: { readonly paint: Paint; readonly width?: number }): string {
  const { paint, width } = options;
  const { address, uptimeSeconds, dataDir, processes, nowMs } = report;
  const notes = [...report.troubles, ...processes.flatMap(notesOn)];
  const sections = [
    `shop at ${address}, up ${spanText(uptimeSeconds * 1_000)}, data in ${dataDir}\n`,
    // Before the table, which may be longer than the terminal.
    notes.map((note) => `${paint("yellow", note)}\n`).join(""),
    processTable(processes, { paint, width }),
    report.rules === undefined || report.rules.length === 0 ? "" : ruleTable(report.rules, nowMs),
    (report.authorities ?? []).map((authority) => `${describeAuthority(authority)}\n`).join(""),
  ];
  return sections.filter((section) => section !== "").join("\n");
}

/** What the operator should know of a process beyond its line. */
function notesOn(process: ProcessReport): readonly string[] {
  const { name, service, state, restarts, lastExit, canary, version } = process;
  const ended = lastExit === undefined ? "" : `: it ${lastExit}`;
  const logs = `shopmesh logs ${name} says why`;
  if (state === "crashing") return [`${name} keeps crashing${ended}, and is tried ever more rarely; ${logs}`];
  if (state === "waiting") return [`${name} is started again in a moment${ended}; ${logs}`];
  return [
    ...(canary ? [`${name} is the canary of ${service ?? name}, version ${version ?? "unknown"}`] : []),
    ...(restarts > 0 ? [`${name} was started again ${restarts === 1 ? "once" : `${restarts} times`}${ended}`] : []),
  ];
}

function processTable(
  processes: readonly ProcessReport[],
  { paint, width }: { readonly paint: Paint; readonly width?: number },
): string {
  const timed = processes.some(({ calls }) => calls?.perSecond !== undefined);
  const columns = allColumns.filter(({ title }) => timed || title !== "PER S");
  return fittingTable({
    columns,
    rows: [...processes, total(processes)],
    width,
    paint: (row, line) => (isTotal(row) ? paint("dim", line) : isWell(row) ? line : paint("red", line)),
  });
}

/** The last line: sums of what can be summed. */
type Total = Pick<ProcessReport, "memoryBytes" | "calls">;
type Row = ProcessReport | Total;

function isTotal(row: Row): row is Total {
  return !("name" in row);
}

function total(processes: readonly ProcessReport[]): Total {
  const sum = (of: (process: ProcessReport) => number | undefined): number =>
    processes.reduce((all, process) => all + (of(process) ?? 0), 0);
  return {
    memoryBytes: sum(({ memoryBytes }) => memoryBytes),
    calls: {
      total: sum(({ calls }) => calls?.total),
      failed: sum(({ calls }) => calls?.failed),
      shed: sum(({ calls }) => calls?.shed),
      running: sum(({ calls }) => calls?.running),
      limit: 0,
      perSecond: sum(({ calls }) => calls?.perSecond),
    },
  };
}

/** Longer names of versions are cut in the table. */
const maxVersion = 16;

const allColumns: readonly Column<Row>[] = [
  left("NAME", 99, "total", ({ name }) => name),
  left("STATE", 98, "", describeState),
  left("VERSION", 50, "", ({ version = "-" }) =>
    version.length > maxVersion ? `${version.slice(0, maxVersion - 1)}…` : version,
  ),
  right("PID", 12, ({ pid }) => (pid === 0 ? "-" : String(pid))),
  right("PORT", 10, ({ port }) => String(port ?? "-")),
  right("UP", 60, ({ uptimeSeconds }) => shortSpan(uptimeSeconds * 1_000)),
  sum("MIB", 55, ({ memoryBytes }) =>
    memoryBytes === undefined ? "-" : String(Math.round(memoryBytes / 1024 / 1024)),
  ),
  sum("CALLS", 80, ({ calls }) => String(calls?.total ?? "-")),
  sum("FAILED", 75, ({ calls }) => String(calls?.failed ?? "-")),
  sum("SHED", 40, ({ calls }) => String(calls?.shed ?? "-")),
  sum("PER S", 70, ({ calls }) => (calls?.perSecond === undefined ? "-" : calls.perSecond.toFixed(0))),
  sum("RUNNING", 30, ({ calls }) => String(calls?.running ?? "-")),
  right("LIMIT", 20, ({ calls }) => String(calls?.limit ?? "-")),
  right("RESTARTS", 35, ({ restarts }) => String(restarts)),
];

function left(title: string, weight: number, ofTotal: string, cell: (process: ProcessReport) => string): Column<Row> {
  return { title, align: "left", weight, cell: (row) => (isTotal(row) ? ofTotal : cell(row)) };
}

function right(title: string, weight: number, cell: (process: ProcessReport) => string): Column<Row> {
  return { title, align: "right", weight, cell: (row) => (isTotal(row) ? "" : cell(row)) };
}

function sum(title: string, weight: number, cell: (row: Row) => string): Column<Row> {
  return { title, align: "right", weight, cell };
}
