import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { serverEnv } from "./cluster.ts";
import type { ServerUser } from "./server-user.ts";

export interface ServerProcessOptions {
  /** The path of the program `postgres`. */
  readonly postgres: string;
  readonly clusterDir: string;
  readonly user: ServerUser | undefined;
  /** Settings of the server, as in postgresql.conf. */
  readonly settings: Readonly<Record<string, string | number>>;
  /** Gets what the server logs, line by line. */
  readonly log: (line: string) => void;
  /** How long after our own end, if that is a violent one, the server is stopped. */
  readonly orphanGraceSeconds: number;
}

/** A PostgreSQL server that takes connections. */
export interface ServerProcess {
  readonly pid: number;
  /** Resolves when the server has ended, whoever ended it. */
  readonly exited: Promise<void>;
  /** Ends it in good order: running statements are rolled back, and all that was committed is written. */
  stop(): Promise<void>;
}

/** Why a server did not start. */
export class ServerStartError extends Error {
  override readonly name = "ServerStartError";
  /** The last lines that the server logged. */
  readonly lines: readonly string[];

  constructor(message: string, lines: readonly string[]) {
    super(message);
    this.lines = lines;
  }
}

/** Recovery after a crash comes before the first connection, and may take its time. */
const START_TIMEOUT_MS = 60_000;
const FAST_STOP_TIMEOUT_MS = 20_000;
const IMMEDIATE_STOP_TIMEOUT_MS = 5_000;
const MAX_KEPT_LINES = 20;
const READY = "database system is ready to accept connections";

/** Starts a server and waits until it takes connections. Throws `ServerStartError`. */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const { postgres, clusterDir, user, settings, log } = options;
  const args = ["-D", clusterDir];
  for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
  // In a session of its own: Ctrl-C in a terminal goes to every process of the foreground group at once, and the
  // services still need their database while they finish.
  const child = spawn(postgres, args, {
    ...user,
    cwd: clusterDir,
    env: serverEnv(),
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  await ready(child, log);
  const watch = watchOwner(child, options);
  void exited.then(() => watch.end());
  let stopping: Promise<void> | undefined;
  return {
    // One that took connections was started, and so has an id.
    pid: child.pid ?? 0,
    exited,
    stop: () => {
      stopping ??= stop(child, exited);
      return stopping;
    },
  };
}

async function ready(child: ChildProcess, log: (line: string) => void): Promise<void> {
  const lines: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const refuse = (reason: string) => reject(new ServerStartError(`PostgreSQL did not start: ${reason}`, lines));
      // Present, since stderr is a pipe; the type allows for other ways.
      const { stderr } = child;
      if (stderr === null) return refuse("its log cannot be read");
      createInterface({ input: stderr }).on("line", (line) => {
        log(line);
        if (line.includes(READY)) resolve();
        lines.push(line);
        if (lines.length > MAX_KEPT_LINES) lines.shift();
      });
      child.once("error", (error) => refuse(error.message));
      // Not "exit": what it said last is still on its way then.
      child.once("close", (code) => refuse(fatalLine(lines) ?? `it ended with code ${code}`));
      timer = setTimeout(() => refuse(`it was not ready after ${START_TIMEOUT_MS / 1_000} s`), START_TIMEOUT_MS);
    });
  } catch (error) {
    child.kill("SIGQUIT");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** What the server gave as its reason, with its details, and without time and process. */
function fatalLine(lines: readonly string[]): string | undefined {
  const index = lines.findLastIndex((line) => line.includes("FATAL:"));
  if (index === -1) return lines.at(-1);
  const [fatal, detail] = lines.slice(index, index + 2).map((line) => line.replace(/^.*?(FATAL|DETAIL|LOG): +/, ""));
  return lines[index + 1]?.includes("DETAIL:") ? `${fatal} (${detail})` : fatal;
}

// Waits for a line from the owner. If the owner ends without one, be it killed, the pipe closes and `read` fails. Then,
// when the grace is over and unless the server has ended or another one runs there, the server is told to end (SIGINT:
// a fast shutdown).
const WATCH_SCRIPT = `
  runs() { [ "$(head -n 1 "$2/postmaster.pid" 2>/dev/null)" = "$1" ]; }
  read -r _ && exit 0
  left=$3
  while [ "$left" -gt 0 ] && runs "$1" "$2"; do sleep 1; left=$((left - 1)); done
  runs "$1" "$2" && kill -INT "$1"`;

/** Sees to it that the server does not outlive this process, however that ends. Not a timer here: we may be gone. */
function watchOwner(
  server: ChildProcess,
  { clusterDir, user, orphanGraceSeconds, log }: ServerProcessOptions,
): { end(): void } {
  const args = ["-c", WATCH_SCRIPT, "watch", String(server.pid), clusterDir, String(orphanGraceSeconds)];
  const watch = spawn("/bin/sh", args, {
    ...user,
    cwd: "/",
    env: serverEnv(),
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watch.on("error", (error) => log(`no watch over the server: ${error.message}`));
  // It may be gone before it is told to go.
  watch.stdin.on("error", () => {});
  watch.unref();
  return { end: () => watch.stdin.end("\n") };
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill("SIGINT");
  if (await within(exited, FAST_STOP_TIMEOUT_MS)) return;
  // No time for order: the next start recovers from the log, nothing that was committed is lost.
  child.kill("SIGQUIT");
  if (await within(exited, IMMEDIATE_STOP_TIMEOUT_MS)) return;
  child.kill("SIGKILL");
  await exited;
}

/** Whether `event` comes within `ms`. */
async function within(event: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([event.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
