import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DataFolder } from "./data/folder.ts";
import type { RunProcess, RunState } from "./data/run-file.ts";
import type { PostgresServer } from "./postgres-server.ts";
import type { ProcessStatus } from "./supervisor/supervise.ts";
import { simulatorName, type Targets } from "./topology.ts";

/** Returns what makes, of the processes as they are, the state to write down. */
export function describeRun(run: {
  readonly folder: DataFolder;
  readonly address: string;
  readonly runId: string;
  readonly secret: string;
  readonly targets: Targets;
  readonly postgres: PostgresServer;
  readonly startTime: Date;
}): (processes: readonly ProcessStatus[]) => RunState {
  const startTime = run.startTime.toISOString();
  const postgres = describePostgres(run.folder, run.postgres, startTime);
  return (processes) => ({
    pid: process.pid,
    runId: run.runId,
    address: run.address,
    startTime,
    secret: run.secret,
    targets: run.targets,
    processes: [...processes.map(describeProcess), ...postgres],
  });
}

function describeProcess(status: ProcessStatus): RunProcess {
  const { name, pid, port, state, startTime, restarts } = status;
  return {
    name,
    pid,
    port,
    state,
    startTime: startTime.toISOString(),
    restarts: Math.max(restarts, 0),
    grpcHealth: name !== simulatorName,
  };
}

function describePostgres(folder: DataFolder, { port }: PostgresServer, startTime: string): readonly RunProcess[] {
  if (port === undefined) return [];
  const pid = Number.parseInt(readFileSync(join(folder.postgresDir, "cluster", "postmaster.pid"), "utf8"), 10);
  return [{ name: "postgres", pid, port, state: "ready", startTime, restarts: 0, grpcHealth: false }];
}
