import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "#mesh/clock.ts";
import { deferred } from "../deferred.ts";
import type { ProcessLog } from "../logs/process-log.ts";
import { messageOf } from "../operator-error.ts";
import {
  describeExit,
  type Exit,
  type Program,
  type RunningProcess,
  type StopOptions,
  startProcess,
} from "./process.ts";
import type { RestartPolicy } from "./restart-policy.ts";
import { createRestartTimes } from "./restart-policy.ts";

export type ProcessState = "starting" | "ready" | "waiting" | "crashing" | "stopped";

/** A process as it is now. */
export interface ProcessStatus {
  readonly name: string;
  /** Empty for what is no service. */
  readonly service: string;
  readonly version: string;
  readonly port: number;
  /** 0 while there is none. */
  readonly pid: number;
  readonly state: ProcessState;
  /** When the process now running was started. */
  readonly startTime: Date;
  readonly restarts: number;
  /** How it ended last, for people; empty when it never did. */
  readonly lastExit: string;
}

/** What happens to a supervised process. */
export type ProcessEvent =
  | { readonly kind: "starting" }
  | { readonly kind: "ready"; readonly afterMs: number }
  | {
      readonly kind: "ended";
      readonly exit: Exit;
      readonly wasReady: boolean;
      readonly restartInMs: number;
      /** How often it ended soon after its start, when that is too often; else undefined. */
      readonly crashes: number | undefined;
    }
  | { readonly kind: "stopped"; readonly exit: Exit };

/** How the first start of a process went. */
export type FirstStart = { readonly ready: true } | { readonly ready: false; readonly exit: Exit };

export interface SupervisedProcess {
  readonly program: Program;
  status(): ProcessStatus;
  /** Settles with the first start: ready, or ended before. Later starts are reported as events alone. */
  readonly firstStart: Promise<FirstStart>;
  /** Kills the process that runs, as when it had crashed: another is started. `why` follows its name in what people read. */
  kill(why: string): void;
  /** Ends it for good. Idempotent. */
  stop(options: StopOptions): Promise<void>;
}

export interface SuperviseOptions {
  readonly program: Program;
  readonly log: ProcessLog;
  readonly policy: RestartPolicy;
  readonly clock: Clock;
  /** Tries again also when the first start fails, as for a program that is known to be good. */
  readonly insist: boolean;
  readonly onEvent: (event: ProcessEvent, status: ProcessStatus) => void;
}

/**
 * Keeps a program running until it is stopped. A first start that fails is not repeated, unless one insists: then
 * something is wrong that a person must put right.
 */
export function supervise(options: SuperviseOptions): SupervisedProcess {
  const { program, policy, insist } = options;
  const stopping = new AbortController();
  const firstStart = deferred<FirstStart>();
  const record = createRecord(options);
  const restartTimes = createRestartTimes(policy);
  let current: RunningProcess | undefined;

  // One life of the process, from its start to its end.
  const live = async (): Promise<{ readonly exit: Exit; readonly wasReady: boolean; readonly livedMs: number }> => {
    const begin = performance.now();
    const env = await program.env().catch((error: unknown) => messageOf(error));
    if (typeof env === "string" || stopping.signal.aborted) {
      const error = typeof env === "string" ? env : "it is no longer wanted";
      return { exit: { code: undefined, signal: undefined, error }, wasReady: false, livedMs: 0 };
    }
    const running = startProcess(program, env, options.log);
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
    for (;;) {
      const { exit, wasReady, livedMs } = await live();
      if (stopping.signal.aborted || (!wasReady && !insist && record.status().restarts === 0)) {
        record.enter("stopped", { kind: "stopped", exit });
        return firstStart.resolve({ ready: false, exit });
      }
      const { delayMs, crashes } = restartTimes.ended(livedMs);
      const state = crashes === undefined ? "waiting" : "crashing";
      record.enter(state, { kind: "ended", exit, wasReady, restartInMs: delayMs, crashes });
      await delay(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (!stopping.signal.aborted) continue;
      record.enter("stopped", { kind: "stopped", exit });
      return firstStart.resolve({ ready: false, exit });
    }
  };

  const finished = run();
  return {
    program,
    status: record.status,
    firstStart: firstStart.promise,
    kill: (why) => current?.kill(why),
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
function createRecord({ program, clock, onEvent }: SuperviseOptions): ProcessRecord {
  const { name, service, version, port } = program;
  const known = { name, service, version, port };
  let status: ProcessStatus = {
    ...known,
    pid: 0,
    state: "starting",
    startTime: clock.now(),
    restarts: -1,
    lastExit: "",
  };
  const enter = (state: ProcessState, event: ProcessEvent): void => {
    const lives = state === "starting" || state === "ready";
    const lastExit = event.kind === "ended" || event.kind === "stopped" ? describeExit(event.exit) : status.lastExit;
    status = { ...status, state, lastExit, pid: lives ? status.pid : 0 };
    onEvent(event, status);
  };
  return {
    status: () => ({ ...status, restarts: Math.max(status.restarts, 0) }),
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
