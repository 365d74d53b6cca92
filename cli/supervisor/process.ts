import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { PublicSocket } from "#mesh/public-socket.ts";
import type { ProcessLog } from "../logs/process-log.ts";

/** A program to run as a process of its own. */
export interface Program {
  /** What the operator knows it by: `cart-2`. */
  readonly name: string;
  /** The service that it is an instance of, by the name of its folder; empty for what is none. */
  readonly service: string;
  /** The build it is of. */
  readonly version: string;
  /** When it is stopped: those of the lowest tier first. */
  readonly tier: number;
  /** The JavaScript file. */
  readonly file: string;
  /**
   * Makes its whole environment, at each start anew. Secrets travel here, never in arguments: those can be read by every
   * user.
   */
  readonly env: () => Promise<Readonly<Record<string, string>>>;
  /** The port it serves on, for the operator's eyes. */
  readonly port: number;
  /** What it listens on besides: ours, handed to it at each start. */
  readonly socket?: Pick<PublicSocket, "handTo">;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** Why it could not even be started. */
  readonly error: string | undefined;
  /** Why we killed it, in words that follow its name; undefined when we did not, or only because it was to stop. */
  readonly killedFor?: string | undefined;
}

export interface RunningProcess {
  /** 0 when it could not be started. */
  readonly pid: number;
  /** Settles with `true` once the process says that it takes calls, with `false` if it ends before. */
  readonly ready: Promise<boolean>;
  /** Settles when the process has ended and all it wrote has been read. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Asks it to end; whoever has not after the grace is killed, with all it started. Settles with the end. */
  stop(options: StopOptions): Promise<Exit>;
  /** Kills it and all it started, and waits for nothing. `why` follows its name in what people read of its end. */
  kill(why?: string): void;
}

export interface StopOptions {
  readonly graceMs: number;
  /** Ends the grace at once when it aborts. */
  readonly hasten?: AbortSignal;
}

// A process can leave its output open to another that outlives it; its end is not held up by that for longer.
const lastOutputMs = 1000;

/**
 * Starts a program under Node.js, in a process group of its own so that a Ctrl-C in the terminal does not reach it, and
 * with an IPC channel, whose loss tells it that we are gone.
 */
export function startProcess(program: Program, env: Readonly<Record<string, string>>, log: ProcessLog): RunningProcess {
  const child = spawn(process.execPath, [program.file], {
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  child.stdout?.on("data", (chunk: Buffer) => log.stdout(chunk));
  child.stderr?.on("data", (chunk: Buffer) => log.stderr(chunk));
  if (child.pid !== undefined) program.socket?.handTo(child);
  let killedFor: string | undefined;
  const exited = watchExit(child)
    .then((exit): Exit => ({ ...exit, killedFor }))
    .finally(() => log.end());
  let ended = false;
  const done = exited.then(() => {
    ended = true;
  });
  const kill = (why?: string): void => {
    if (ended) return;
    killedFor = why;
    killGroup(child);
  };
  return {
    pid: child.pid ?? 0,
    ready: Promise.race([watchReady(child), done.then(() => false)]),
    exited,
    async stop({ graceMs, hasten }) {
      if (ended) return exited;
      child.kill("SIGTERM");
      const timer = new AbortController();
      const signal = hasten === undefined ? timer.signal : AbortSignal.any([timer.signal, hasten]);
      // The delay ends early, with an error, when the process has ended or we are told to make haste.
      await Promise.race([done, delay(graceMs, undefined, { signal }).catch(() => undefined)]);
      timer.abort();
      kill();
      return exited;
    },
    kill,
  };
}

function watchReady(child: ChildProcess): Promise<true> {
  return new Promise((resolve) => {
    child.on("message", (message: unknown) => {
      if (typeof message === "object" && message !== null && "type" in message && message.type === "ready") {
        resolve(true);
      }
    });
  });
}

async function watchExit(child: ChildProcess): Promise<Exit> {
  const closed = once(child, "close").catch(() => undefined);
  const exit = await new Promise<Exit>((resolve) => {
    child.on("error", (error) => {
      // Also emitted for a signal that could not be sent; only a process that never was has no id.
      if (child.pid === undefined) resolve({ code: undefined, signal: undefined, error: error.message });
    });
    child.once("exit", (code, signal) => {
      resolve({ code: code ?? undefined, signal: signal ?? undefined, error: undefined });
    });
  });
  const timer = new AbortController();
  await Promise.race([closed, delay(lastOutputMs, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
  child.stdout?.destroy();
  child.stderr?.destroy();
  return exit;
}

// The process leads its group, and while it lives its id is the group's.
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // the group is not there yet, or no more
  }
}

/** `exit code 1`, `signal SIGKILL`: how it ended, for people. */
export function describeExit(exit: Exit): string {
  if (exit.error !== undefined) return `could not be started: ${exit.error}`;
  if (exit.killedFor !== undefined) return `${exit.killedFor}, and was killed`;
  if (exit.signal !== undefined) return `ended by signal ${exit.signal}`;
  return `exited with code ${exit.code ?? 0}`;
}
