import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "#mesh/clock.ts";
import { deferred } from "../deferred.ts";
import type { ProcessLog } from "../logs/process-log.ts";
import { type Exit, type Program, type RunningProcess, type StopOptions, startProcess } from "./process.ts";

/** When a process that ended is started again. */
export interface RestartPolicy {
  /** The first delay; it doubles with each end that follows soon. */
  readonly initialMs: number;
  readonly maxMs: number;
  /** A process that lived so long begins again with the first delay. */
  readonly steadyMs: number;
  /** How long a process may take until it takes calls; then it is killed, and counts as ended. */
  readonly readyMs: number;
}

export const defaultRestartPolicy: RestartPolicy = {
  initialMs: 500,
  maxMs: 10_000,
  steadyMs: 60_000,
  readyMs: 60_000,
};

export type ProcessState = "starting" | "ready" | "waiting" | "stopped";

/** A process as it is now. */
export interface ProcessStatus {
  readonly name: string;
  readonly port: number;
  /** 0 while there is none. */
  readonly pid: number;
  readonly state: ProcessState;
  /** When the process now running was started. */
  readonly startTime: Date;
  readonly restarts: number;
}

/** What happens to a supervised process. */
export type ProcessEvent =
  | { readonly kind: "starting" }
  | { readonly kind: "ready"; readonly afterMs: number }
  | { readonly kind: "ended"; readonly exit: Exit; readonly wasReady: boolean; readonly restartInMs: number }
  | { readonly kind: "stopped"; readonly exit: Exit };

/** How the first start of a process went. */
export type FirstStart = { readonly ready: true } | { readonly ready: false; readonly exit: Exit };

export interface SupervisedProcess {
  readonly name: string;
  status(): ProcessStatus;
  /** Settles with the first start: ready, or ended before. Later starts are reported as events alone. */
  readonly firstStart: Promise<FirstStart>;
  /** Ends it for good. Idempotent. */
  stop(options: StopOptions): Promise<void>;
}

export interface SuperviseOptions {
  readonly program: Program;
  readonly log: ProcessLog;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  readonly onEvent: (event: ProcessEvent, status: ProcessStatus) => void;
}

/**
 * Keeps a program running until it is stopped. A first start that fails is not repeated: then something is wrong that
 * a person must put right.
 */
export function supervise(options: SuperviseOptions): SupervisedProcess {
  const { program, policy } = options;
  const stopping = new AbortController();
  const firstStart = deferred<FirstStart>();
  const record = createRecord(options);
  let current: RunningProcess | undefined;

  // One life of the process, from its start to its end.
  const live = async (): Promise<{ readonly exit: Exit; readonly wasReady: boolean; readonly livedMs: number }> => {
    const begin = performance.now();
    const running = startProcess(program, options.log);
    current = running;
    record.began(running.pid);
    const wasReady = await readyInTime(running, policy.readyMs);
    if (wasReady && !stopping.signal.aborted) {
      record.enter("ready", { kind: "ready", afterMs: performance.now() - begin });
      firstStart.resolve({ ready: true });
    }
    return { exit: await running.exited, wasReady, livedMs: performance.now() - begin };
  };
  const run = async (): Promise<void> => {
    for (let delayMs = policy.initialMs; ; ) {
      const { exit, wasReady, livedMs } = await live();
      if (stopping.signal.aborted || (!wasReady && record.status().restarts === 0)) {
        record.enter("stopped", { kind: "stopped", exit });
        return firstStart.resolve({ ready: false, exit });
      }
      if (livedMs >= policy.steadyMs) delayMs = policy.initialMs;
      record.enter("waiting", { kind: "ended", exit, wasReady, restartInMs: delayMs });
      await delay(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return record.enter("stopped", { kind: "stopped", exit });
      delayMs = Math.min(delayMs * 2, policy.maxMs);
    }
  };

  const finished = run();
  return {
    name: program.name,
    status: record.status,
    firstStart: firstStart.promise,
    async stop(stopOptions) {
      stopping.abort();
      await current?.stop(stopOptions);
      await finished;
    },
  };
}

interface ProcessRecord {
  status(): ProcessStatus;
  /** A process was started. */
  began(pid: number): void;
  enter(state: ProcessState, event: ProcessEvent): void;
}

/** Knows how a process is, and reports every change. */
function createRecord({ program: { name, port }, clock, onEvent }: SuperviseOptions): ProcessRecord {
  let status: ProcessStatus = { name, port, pid: 0, state: "starting", startTime: clock.now(), restarts: -1 };
  const enter = (state: ProcessState, event: ProcessEvent): void => {
    const lives = state === "starting" || state === "ready";
    status = { ...status, state, pid: lives ? status.pid : 0 };
    onEvent(event, status);
  };
  return {
    status: () => status,
    began(pid) {
      status = { ...status, pid, startTime: clock.now(), restarts: status.restarts + 1 };
      enter("starting", { kind: "starting" });
    },
    enter,
  };
}

async function readyInTime(running: RunningProcess, readyMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(readyMs, "late" as const, { signal: timer.signal }).catch(() => "late" as const);
  const outcome = await Promise.race([running.ready, late]);
  timer.abort();
  if (outcome === "late") running.kill();
  return outcome === true;
}
