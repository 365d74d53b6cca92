import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DataFolder } from "./data/folder.ts";
import type { RunProcess, RunState } from "./data/run-file.ts";
import type { PostgresServer } from "./postgres-server.ts";
import type { Targets } from "./run-plan.ts";
import type { ProcessStatus } from "./supervisor/supervise.ts";
import { postgresName } from "./topology.ts";

/** Returns what makes, of the processes as they are, the state to write down. */
export function describeRun(run: {
  readonly address: string;
  readonly runId: string;
  readonly joinAddress: string;
  readonly startTime: Date;
  readonly targets: () => Targets;
  readonly postgres: () => readonly RunProcess[] | undefined;
}): (processes: readonly ProcessStatus[]) => RunState {
  return (processes) => ({
    pid: process.pid,
    runId: run.runId,
    address: run.address,
    startTime: run.startTime.toISOString(),
    joinAddress: run.joinAddress,
    targets: run.targets(),
    processes: [...processes.map(describeProcess), ...(run.postgres() ?? [])],
  });
}

function describeProcess({ startTime, ...status }: ProcessStatus): RunProcess {
  return { ...status, startTime: startTime.toISOString(), grpcHealth: status.service !== "" };
}

/** The process of a PostgreSQL of ours; none of one that is not. */
export function describePostgres(folder: DataFolder, { port }: PostgresServer, startTime: Date): readonly RunProcess[] {
  if (port === undefined) return [];
  const pid = Number.parseInt(readFileSync(join(folder.postgresDir, "cluster", "postmaster.pid"), "utf8"), 10);
  const known = { name: postgresName, service: "", version: "", lastExit: "", restarts: 0, grpcHealth: false };
  return [{ ...known, pid, port, state: "ready", startTime: startTime.toISOString() }];
}
