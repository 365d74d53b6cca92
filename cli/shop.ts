import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "#mesh/clock.ts";
import { withTimeLimit } from "#mesh/time-limit.ts";
import { loadSampleIfEmpty } from "./catalogue/sample.ts";
import { waitUntilServing } from "./checks/health.ts";
import { createCleanup } from "./cleanup.ts";
import type { DataFolder } from "./data/folder.ts";
import { openDoor } from "./door.ts";
import { operatorsMail } from "./environment.ts";
import { createTerminal, type Terminal } from "./logs/terminal.ts";
import { operatorMesh } from "./operator-client.ts";
import { messageOf, OperatorError } from "./operator-error.ts";
import { claimFolder, openDatabases, openPostgres, openRun, type Run } from "./run.ts";
import type { Context, StartShopOptions } from "./run-context.ts";
import { targetsOf } from "./run-plan.ts";
import { interruptible, throwIfInterrupted } from "./run-signal.ts";
import type { Fleet } from "./supervisor/fleet.ts";
import type { Program } from "./supervisor/process.ts";
import type { ProcessStatus } from "./supervisor/supervise.ts";
import {
  controlName,
  countInstances,
  findKinds,
  gatewayName,
  instanceName,
  type Kind,
  mailboxName,
  postgresName,
} from "./topology.ts";

/** A shop that runs. */
export interface Shop {
  /** The public address, `127.0.0.1:8080`. */
  readonly address: string;
  /** How long the start took. */
  readonly startedInMs: number;
  readonly terminal: Terminal;
  /** All processes as they are now, but for PostgreSQL's. */
  processes(): readonly ProcessStatus[];
  /** Settles, with why, when something failed that the shop cannot do without and cannot repair. It is still to be stopped. */
  readonly failed: Promise<OperatorError>;
  /** Stops everything in order. Idempotent. */
  stop(): Promise<void>;
}

// From the start of processes until they take calls.
const readyMs = 60_000;

/**
 * Starts the whole shop and loads the sample catalogue into it if it is empty. Throws OperatorError, with everything
 * stopped again, when it cannot.
 */
export async function startShop(options: StartShopOptions): Promise<Shop> {
  const { clock = systemClock, programsDir } = options;
  const started = { startTime: clock.now(), begin: performance.now() };
  const hasMailServer = operatorsMail(options.env ?? process.env) !== undefined;
  const kinds = findKinds(programsDir).filter(({ name }) => name !== mailboxName || !hasMailServer);
  const counts = countInstances(kinds, options.instances);
  const terminal = createTerminal({
    output: options.output,
    verbose: options.verbose,
    clock,
    names: [...namesOf(kinds, counts), postgresName],
  });
  const cleanup = createCleanup((name, error) => terminal.warn(`${name} did not stop cleanly: ${messageOf(error)}`));
  try {
    return await start({ ...options, ...started, clock, kinds, counts, terminal, cleanup });
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

function namesOf(kinds: readonly Kind[], counts: ReadonlyMap<string, number>): readonly string[] {
  return kinds.flatMap((kind) =>
    Array.from({ length: counts.get(kind.name) ?? 0 }, (_, index) => instanceName(kind, index + 1)),
  );
}

async function start(context: Context): Promise<Shop> {
  const { terminal, cleanup, signal } = context;
  const folder = await claimFolder(context);
  const run = await openRun(folder, context);
  // It needs no database, and all others need it.
  const control = startInTime(
    run.fleet,
    run.programs((kind) => kind === controlName),
  );
  control.catch(() => undefined);
  const postgres = await openPostgres(run, context);
  throwIfInterrupted(signal);
  await openDatabases(run, postgres, context);
  const door = openDoor(run, context);
  door.catch(() => undefined);
  const failed = postgres.failed.then(() => postgresFailed(folder));
  // What is still being done for the start ends with it, whatever ends it.
  const ending = new AbortController();
  cleanup.add("the start", () => ending.abort());
  const opened = control.then(async () => {
    await openShop(run, { folder, terminal, signal: ending.signal });
    await door;
  });
  await interruptible(Promise.race([opened, failed.then(raise)]), signal);
  return {
    address: run.address,
    startedInMs: performance.now() - context.begin,
    terminal,
    processes: run.fleet.processes,
    failed,
    stop: cleanup.run,
  };
}

// The services first, then what is to be sold, and the door last.
async function openShop(
  run: Run,
  {
    folder,
    terminal,
    signal,
  }: { readonly folder: DataFolder; readonly terminal: Terminal; readonly signal: AbortSignal },
): Promise<void> {
  const { fleet, plan } = run;
  await startInTime(
    fleet,
    run.programs((kind) => kind !== controlName && kind !== gatewayName),
  );
  const mesh = operatorMesh({ joinAddress: plan.joinAddress, targets: targetsOf(plan.places) }, folder);
  try {
    await loadSampleIfEmpty({ mesh, markerFile: folder.loadingFile, terminal, signal });
  } finally {
    mesh.close();
  }
  await startInTime(
    fleet,
    run.programs((kind) => kind === gatewayName),
  );
  const health = await withTimeLimit({ ms: readyMs, signal }, (limited) => waitUntilServing(run.address, limited));
  if (health !== "SERVING") throw new OperatorError(`the gateway says ${health} after ${readyMs / 1000} s`);
}

async function startInTime(fleet: Fleet, programs: readonly Program[]): Promise<void> {
  const timer = new AbortController();
  const late = delay(readyMs, true, { signal: timer.signal }).catch(() => false);
  try {
    const isLate = await Promise.race([fleet.start(programs).then(() => false), late]);
    if (!isLate) return;
  } finally {
    timer.abort();
  }
  const names = fleet.processes().filter(({ state }) => state !== "ready");
  throw new OperatorError(`${names.map(({ name }) => name).join(", ")} took no calls after ${readyMs / 1000} s`);
}

function raise(error: OperatorError): never {
  throw error;
}

function postgresFailed(folder: DataFolder): OperatorError {
  return new OperatorError("PostgreSQL ended unexpectedly", { details: [`see ${folder.logsDir}/postgres.log`] });
}
