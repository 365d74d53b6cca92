import { type Process, ProcessState } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import type { ProcessStatus } from "./supervise.ts";

const states = {
  starting: ProcessState.STARTING,
  ready: ProcessState.READY,
  waiting: ProcessState.WAITING,
  crashing: ProcessState.CRASHING,
  stopped: ProcessState.STOPPED,
} as const satisfies Readonly<Record<ProcessStatus["state"], ProcessState>>;

/** A process as the contract tells of it. */
export function processMessage({ port: _, state, ...status }: ProcessStatus, canary: boolean): Process {
  return { ...status, state: states[state], canary };
}
