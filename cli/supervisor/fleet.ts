import type { Clock } from "#mesh/clock.ts";
import { openLogFile } from "../logs/log-file.ts";
import { createProcessLog, type ProcessLog } from "../logs/process-log.ts";
import type { Terminal } from "../logs/terminal.ts";
import { messageOf, OperatorError } from "../operator-error.ts";
import { describeExit, type Program, type StopOptions } from "./process.ts";
import type { RestartPolicy } from "./restart-policy.ts";
import { type ProcessEvent, type ProcessStatus, type SupervisedProcess, supervise } from "./supervise.ts";

/** The processes of one shop, each kept running. Programs come and go while it runs. */
export interface Fleet {
  /**
   * Starts programs, all at once. Settles when every one of them takes calls; rejects with an OperatorError when one
   * ended before, and when the fleet is being stopped. What failed stands among the processes until it is removed.
   */
  start(programs: readonly Program[], options?: StartOptions): Promise<void>;
  /** Kills a process, after which it is started again as after any end. Does nothing when there is none of that name. */
  kill(name: string, why: string): void;
  /** Ends one process for good, in order. Does nothing when there is none of that name. */
  remove(name: string, options: StopOptions): Promise<void>;
  /** All programs that are kept running, in the order in which they stop. */
  programs(): readonly Program[];
  /** The same as they are now. */
  processes(): readonly ProcessStatus[];
  /** Tells `listener` what happens to a process, until the returned function is called. */
  watch(listener: FleetListener): () => void;
  /** Stops what was started, tier after tier, the lowest first; each process within the grace. */
  stop(options: StopOptions): Promise<void>;
}

export interface StartOptions {
  /** Tries again also when a first start fails, as after a crash; then the start settles with the first that does not. */
  readonly insist?: boolean;
}

export type FleetListener = (event: ProcessEvent, status: ProcessStatus) => void;

export interface FleetOptions {
  /** Gets `<name>.log` of every program. */
  readonly logsDir: string;
  readonly terminal: Terminal;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  /** Called after every change of a process. */
  readonly onChange: () => void;
}

/** Makes a fleet, in which nothing runs yet. */
export function createFleet(options: FleetOptions): Fleet {
  const { terminal, policy, clock } = options;
  const listeners = new Set<FleetListener>();
  let members: readonly Member[] = [];
  let stopping = false;
  const processes = (): readonly ProcessStatus[] => members.map(({ process }) => process.status());

  const find = (name: string): Member | undefined => members.find(({ process }) => process.program.name === name);
  const startOne = (program: Program, insist: boolean): Member => {
    const log = openProcessLog(program.name, options);
    const onEvent = (event: ProcessEvent, status: ProcessStatus): void => {
      if (event.kind === "starting") log.begin();
      report(terminal, event, status);
      options.onChange();
      for (const listener of listeners) listener(event, status);
    };
    return { process: supervise({ program, log, policy, clock, insist, onEvent }), log };
  };
  const end = async (member: Member, stopOptions: StopOptions): Promise<void> => {
    await member.process.stop(stopOptions);
    member.log.close();
  };
  return {
    async start(programs, { insist = false } = {}) {
      if (stopping) throw new OperatorError("the shop is being stopped");
      const started = programs.map((program) => startOne(program, insist));
      members = [...members, ...started].toSorted(inOrderOfStop);
      options.onChange();
      await Promise.all(started.map(checkFirstStart));
    },
    kill: (name, why) => find(name)?.process.kill(why),
    async remove(name, stopOptions) {
      const member = find(name);
      if (member === undefined) return;
      await end(member, stopOptions);
      members = members.filter((other) => other !== member);
      options.onChange();
    },
    programs: () => members.map(({ process }) => process.program),
    processes,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async stop(stopOptions) {
      stopping = true;
      for (const tier of new Set(members.map(tierOf))) {
        await Promise.all(
          members.filter((member) => tierOf(member) === tier).map((member) => end(member, stopOptions)),
        );
      }
    },
  };
}

interface Member {
  readonly process: SupervisedProcess;
  readonly log: ProcessLog;
}

function tierOf({ process }: Member): number {
  return process.program.tier;
}

function inOrderOfStop(one: Member, other: Member): number {
  const [name, otherName] = [one.process.program.name, other.process.program.name];
  return tierOf(one) - tierOf(other) || name.localeCompare(otherName, "en", { numeric: true });
}

function openProcessLog(name: string, options: FleetOptions): ProcessLog {
  const path = `${options.logsDir}/${name}.log`;
  const onError = (error: unknown): void =>
    options.terminal.warn(`${path} can't be written; lines are lost until it can: ${messageOf(error)}`);
  return createProcessLog({ name, file: openLogFile(path, { onError }), terminal: options.terminal });
}

async function checkFirstStart({ process, log }: Member): Promise<void> {
  const outcome = await process.firstStart;
  if (outcome.ready) return;
  throw new OperatorError(`${process.program.name} ${describeExit(outcome.exit)} before it was ready`, {
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
    const crashing = event.crashes === undefined ? "" : ` and keeps crashing (${event.crashes} times now)`;
    const next = `starting again in ${seconds(event.restartInMs)}`;
    terminal.warn(`${status.name} ${describeExit(event.exit)}${when}${crashing}; ${next}`);
  }
}
