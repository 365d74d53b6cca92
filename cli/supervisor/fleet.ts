import type { Clock } from "#mesh/clock.ts";
import { openLogFile } from "../logs/log-file.ts";
import { createProcessLog, type ProcessLog } from "../logs/process-log.ts";
import type { Terminal } from "../logs/terminal.ts";
import { messageOf, OperatorError } from "../operator-error.ts";
import { describeExit, type Program, type StopOptions } from "./process.ts";
import {
  type ProcessEvent,
  type ProcessStatus,
  type RestartPolicy,
  type SupervisedProcess,
  supervise,
} from "./supervise.ts";

/** The processes of one shop, each kept running. */
export interface Fleet {
  /**
   * Starts programs, all at once. Settles when every one of them takes calls; rejects with an OperatorError when one
   * ended before, and when the fleet is being stopped.
   */
  start(tiers: Tiers): Promise<void>;
  processes(): readonly ProcessStatus[];
  /** Stops what was started, the last start first, and of each the first tier first; each process within the grace. */
  stop(options: StopOptions): Promise<void>;
}

/** Programs by when they stop: callers come before callees, so that work under way can be finished. */
export type Tiers = readonly (readonly Program[])[];

export interface FleetOptions {
  /** Gets `<name>.log` of every program. */
  readonly logsDir: string;
  readonly terminal: Terminal;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  /** Called after every change of a process. */
  readonly onChange: (processes: readonly ProcessStatus[]) => void;
}

/** Makes a fleet, in which nothing runs yet. */
export function createFleet(options: FleetOptions): Fleet {
  const { terminal, policy, clock } = options;
  // In the order in which they stop.
  let tiers: readonly (readonly Member[])[] = [];
  let stopping = false;
  const processes = (): readonly ProcessStatus[] => tiers.flat().map(({ process }) => process.status());

  const startOne = (program: Program): Member => {
    const log = openProcessLog(program.name, options);
    const onEvent = (event: ProcessEvent, status: ProcessStatus): void => {
      if (event.kind === "starting") log.begin();
      report(terminal, event, status);
      options.onChange(processes());
    };
    return { process: supervise({ program, log, policy, clock, onEvent }), log };
  };
  return {
    async start(programs) {
      if (stopping) throw new OperatorError("the shop is being stopped");
      const started = programs.map((tier) => tier.map(startOne));
      tiers = [...started, ...tiers];
      options.onChange(processes());
      await Promise.all(started.flat().map(checkFirstStart));
    },
    processes,
    async stop(stopOptions) {
      stopping = true;
      for (const tier of tiers) await Promise.all(tier.map(({ process }) => process.stop(stopOptions)));
      for (const { log } of tiers.flat()) log.close();
    },
  };
}

interface Member {
  readonly process: SupervisedProcess;
  readonly log: ProcessLog;
}

function openProcessLog(name: string, options: FleetOptions): ProcessLog {
  const path = `${options.logsDir}/${name}.log`;
  const onError = (error: unknown): void =>
    options.terminal.warn(`${path} can't be written any more: ${messageOf(error)}`);
  return createProcessLog({ name, file: openLogFile(path, { onError }), terminal: options.terminal });
}

async function checkFirstStart({ process, log }: Member): Promise<void> {
  const outcome = await process.firstStart;
  if (outcome.ready) return;
  throw new OperatorError(`${process.name} ${describeExit(outcome.exit)} before it was ready`, {
    details: log.lastErrors(),
  });
}

function report(terminal: Terminal, event: ProcessEvent, status: ProcessStatus): void {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  if (event.kind === "ready") {
    const again = status.restarts === 0 ? "" : " again";
    terminal.say(
      `${status.name} is ready${again} on port ${status.port} (process ${status.pid}, ${seconds(event.afterMs)})`,
    );
  }
  if (event.kind === "ended") {
    const when = event.wasReady ? "" : " before it was ready";
    terminal.warn(`${status.name} ${describeExit(event.exit)}${when}; starting again in ${seconds(event.restartInMs)}`);
  }
}
