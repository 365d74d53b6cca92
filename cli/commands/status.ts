import { checkHealth, type Health } from "../checks/health.ts";
import { loopback } from "../checks/ports.ts";
import { dataFolder } from "../data/folder.ts";
import { processMemory } from "../data/process-facts.ts";
import { type RunProcess, type RunState, readRunState } from "../data/run-file.ts";
import { exitCodes } from "../operator-error.ts";
import type { Output } from "../output.ts";
import type { Settings } from "../settings.ts";
import { textTable } from "../table.ts";

/** One process of a running shop. */
export interface ProcessReport {
  readonly name: string;
  readonly state: string;
  /** What it says of itself; undefined for one that is not asked, because it does not speak gRPC. */
  readonly health: Health | undefined;
  readonly pid: number;
  readonly port: number | undefined;
  readonly uptimeSeconds: number;
  /** With all that it started: the share of memory that is its own, where the system tells; undefined when it is gone. */
  readonly memoryBytes: number | undefined;
  readonly restarts: number;
}

const healthTimeoutMs = 2000;
// What it started has lines of its own.
const supervisorName = "shopmesh";

/** Shows what runs in the data folder. Returns the exit code: 0 when all of it is well. */
export async function status(options: {
  readonly settings: Settings;
  readonly output: Output;
  readonly json: boolean;
  readonly nowMs: number;
}): Promise<number> {
  const { settings, output, json, nowMs } = options;
  const state = await readRunState(dataFolder(settings.dataDir));
  if (state === undefined) {
    const answer = { running: false, dataDir: settings.dataDir };
    output.write(json ? `${JSON.stringify(answer)}\n` : `no shop runs in ${settings.dataDir}\n`);
    return exitCodes.failed;
  }
  const processes = await Promise.all(withSupervisor(state).map((process) => reportOn(process, nowMs)));
  const well = processes.every(({ state, health }) => state === "ready" && (health ?? "SERVING") === "SERVING");
  const uptimeSeconds = secondsSince(state.startTime, nowMs);
  if (json) {
    const answer = { running: true, well, address: state.address, dataDir: settings.dataDir, uptimeSeconds, processes };
    output.write(`${JSON.stringify(answer, undefined, 2)}\n`);
  } else {
    output.write(`shop at ${state.address}, up ${duration(uptimeSeconds)}, data in ${settings.dataDir}\n\n`);
    output.write(table(processes));
  }
  return well ? exitCodes.ok : exitCodes.failed;
}

function withSupervisor({ pid, startTime, processes }: RunState): readonly RunProcess[] {
  const name = supervisorName;
  const known = { name, service: "", version: "", lastExit: "" };
  return [...processes, { ...known, pid, port: 0, state: "ready", startTime, restarts: 0, grpcHealth: false }];
}

async function reportOn(process: RunProcess, nowMs: number): Promise<ProcessReport> {
  const { name, state, pid, port, restarts } = process;
  const running = state === "ready" || state === "starting";
  return {
    name,
    state,
    health: process.grpcHealth && running ? await checkHealth(`${loopback}:${port}`, healthTimeoutMs) : undefined,
    pid,
    port: port === 0 ? undefined : port,
    uptimeSeconds: running ? secondsSince(process.startTime, nowMs) : 0,
    memoryBytes: pid === 0 ? undefined : await processMemory(pid, { descendants: name !== supervisorName }),
    restarts,
  };
}

function table(processes: readonly ProcessReport[]): string {
  const header = ["NAME", "STATE", "HEALTH", "PID", "PORT", "UP", "MEMORY", "RESTARTS"];
  const rows = processes.map((process) => [
    process.name,
    process.state,
    process.health ?? "-",
    process.pid === 0 ? "-" : String(process.pid),
    String(process.port ?? "-"),
    duration(process.uptimeSeconds),
    megabytes(process.memoryBytes),
    String(process.restarts),
  ]);
  const total = processes.reduce((sum, { memoryBytes }) => sum + (memoryBytes ?? 0), 0);
  const all = [header, ...rows, ["total", "", "", "", "", "", megabytes(total), ""]];
  return textTable(all);
}

function secondsSince(time: string, nowMs: number): number {
  return Math.max(0, Math.round((nowMs - Date.parse(time)) / 1000));
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? "-" : `${Math.round(bytes / 1024 / 1024)} MiB`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
