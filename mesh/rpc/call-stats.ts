import type { InstanceStats } from "#gen/mesh/v1/instance.ts";
import type { CodeName } from "#mesh/contract/errors.ts";

/** What a process has done since its start, in numbers that only count up, and how much it does now. */
export interface CallStats {
  /** A call began. Each one that began ends. */
  begin(): void;
  /** A call ended: well when there is no failure. */
  end(failure?: EndedBy): void;
  /** As the registry is told. Costs nothing worth sparing. */
  read(): InstanceStats;
}

/** Why a call did not end well. */
export interface EndedBy {
  readonly code: CodeName;
  readonly reason: string;
  /** Whether another service gave it, and it was passed on. */
  readonly remote: boolean;
}

/** Codes that say something is wrong here rather than with the caller, as `mesh.v1.InstanceStats` names them. */
const ownFaults: ReadonlySet<CodeName> = new Set([
  "UNKNOWN",
  "INTERNAL",
  "DATA_LOSS",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
]);

/** Counts the calls of one process. `concurrencyLimit` is asked each time somebody reads. */
export function createCallStats(concurrencyLimit: () => number): CallStats {
  let running = 0;
  let ended = 0;
  let failed = 0;
  let shed = 0;
  return {
    begin() {
      running += 1;
    },
    end(failure) {
      running -= 1;
      ended += 1;
      if (failure === undefined) return;
      if (ownFaults.has(failure.code)) failed += 1;
      else if (failure.reason === "OVERLOADED" && !failure.remote) shed += 1;
    },
    read: () => ({
      callsTotal: BigInt(ended),
      callsFailed: BigInt(failed),
      callsShed: BigInt(shed),
      callsRunning: BigInt(running),
      concurrencyLimit: BigInt(concurrencyLimit()),
    }),
  };
}
