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
  /** Settles when every program takes calls. Rejects with an OperatorError when one ended before. */
  readonly ready: Promise<void>;
  processes(): readonly ProcessStatus[];
  /** Stops all, tier after tier, each process within the grace. Idempotent. */
  stop(options: StopOptions): Promise<void>;
  /** Kills all now, waiting for nothing. */
  kill(): void;
}

export interface FleetOptions {
  /** What to run, in tiers: all start at once, and stop from the first tier to the last. Callers come before callees. */
  readonly tiers: readonly (readonly Program[])[];
  /** Gets `<name>.log` of every program. */
  readonly logsDir: string;
  readonly terminal: Terminal;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  /** Called after every change of a process. */
  readonly onChange: (processes: readonly ProcessStatus[]) => void;
}

/** Starts all programs at once. */
export function startFleet(options: FleetOptions): Fleet {
  const { terminal, policy, clock } = options;
  const members: Member[] = [];
  const processes = (): readonly ProcessStatus[] => members.map(({ process }) => process.status());
  const tiers = options.tiers.map((programs) => programs.map((program) => start(program)));

  function start(program: Program): Member {
    const log = openProcessLog(program.name, options);
    const onEvent = (event: ProcessEvent, status: ProcessStatus): void => {
      if (event.kind === "starting") log.begin();
      report(terminal, event, status);
      options.onChange(processes().map((known) => (known.name === status.name ? status : known)));
    };
    const member = { process: supervise({ program, log, policy, clock, onEvent }), log };
    members.push(member);
    return member;
  }

  const ready = Promise.all(members.map(checkFirstStart)).then(() => undefined);
  // Whoever awaits `ready` is told; that nobody does is no reason to end the process.
  ready.catch(() => undefined);
  return {
    ready,
    processes,
    async stop(stopOptions) {
      for (const tier of tiers) await Promise.all(tier.map(({ process }) => process.stop(stopOptions)));
      for (const { log } of members) log.close();
    },
    kill() {
      for (const { process } of members) process.kill();
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
