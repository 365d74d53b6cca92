import { rmSync } from "node:fs";
import type { ProcessStatus } from "../supervisor/supervise.ts";
import { readPrivateFile, writePrivateFile } from "./atomic-file.ts";
import type { DataFolder } from "./folder.ts";
import { lockHolder } from "./lock.ts";

/** What runs in a data folder now, told to the other commands. Only its owner can read it. */
export interface RunState {
  /** The supervisor's process. */
  readonly pid: number;
  /** Names the run; each of its processes has it in its environment. */
  readonly runId: string;
  /** The public address, `127.0.0.1:8080`. */
  readonly address: string;
  /** When the supervisor began, as ISO 8601. */
  readonly startTime: string;
  /** Where control lets processes join. */
  readonly joinAddress: string;
  /** Where each service listens that is not the gateway. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
  readonly processes: readonly RunProcess[];
}

export interface RunProcess {
  readonly name: string;
  /** The service that it is an instance of; empty for what is none. */
  readonly service: string;
  /** The build it runs. */
  readonly version: string;
  readonly pid: number;
  readonly port: number;
  readonly state: ProcessStatus["state"];
  /** When the process now running was started, as ISO 8601. */
  readonly startTime: string;
  readonly restarts: number;
  /** How it ended last, for people; empty when it never did. */
  readonly lastExit: string;
  /** Whether the process answers `grpc.health.v1` on its port. */
  readonly grpcHealth: boolean;
}

export function writeRunState(folder: DataFolder, state: RunState): void {
  writePrivateFile(folder.runFile, `${JSON.stringify(state, undefined, 2)}\n`, { durable: false });
}

export function removeRunState(folder: DataFolder): void {
  rmSync(folder.runFile, { force: true });
}

/** What runs in the folder, undefined when nothing does. What a supervisor that was killed left behind is nothing. */
export async function readRunState(folder: DataFolder): Promise<RunState | undefined> {
  const holder = await lockHolder(folder.lockDir);
  const state = readStaleRunState(folder);
  return holder !== undefined && state?.pid === holder ? state : undefined;
}

/** What ran in the folder last, when that was not stopped in order. */
export function readStaleRunState(folder: DataFolder): RunState | undefined {
  const text = readPrivateFile(folder.runFile);
  if (text === undefined) return undefined;
  try {
    // Written whole by a supervisor, this very program, for its owner alone.
    return JSON.parse(text) as RunState;
  } catch {
    return undefined; // the machine itself went down while it was written
  }
}
