import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Clock, systemClock } from "#mesh/clock.ts";
import { loadSampleIfEmpty } from "./catalogue/sample.ts";
import { waitUntilServing } from "./checks/health.ts";
import { checkNodeVersion } from "./checks/node-version.ts";
import { checkPublicPort, findFreePorts, loopback } from "./checks/ports.ts";
import { type DataFolder, dataFolder, prepareDataFolder } from "./data/folder.ts";
import { stopLeftovers } from "./data/leftovers.ts";
import { takeLock } from "./data/lock.ts";
import { removeRunState, writeRunState } from "./data/run-file.ts";
import { loadSecrets, newSecret, type Secrets } from "./data/secrets.ts";
import { createTerminal, type Terminal } from "./logs/terminal.ts";
import { operatorMesh } from "./operator-client.ts";
import { messageOf, OperatorError } from "./operator-error.ts";
import type { Output } from "./output.ts";
import { type PostgresServer, provisionDatabases, startOwnPostgres, useGivenPostgres } from "./postgres-server.ts";
import { createReleases, type Releases } from "./releases.ts";
import { interruptible, throwIfInterrupted } from "./run-signal.ts";
import { describeRun } from "./run-state.ts";
import type { Settings } from "./settings.ts";
import { createFleet, type Fleet, type Tiers } from "./supervisor/fleet.ts";
import { defaultRestartPolicy, type ProcessStatus, type RestartPolicy } from "./supervisor/supervise.ts";
import {
  directly,
  findServices,
  gatewayName,
  planGateway,
  planInnerPrograms,
  postgresName,
  privatePrograms,
  type Reach,
  type RunPlan,
  type Service,
  targetsOf,
} from "./topology.ts";

export interface StartShopOptions extends Settings {
  readonly output: Output;
  /** Where the built programs are: `dist/`. */
  readonly programsDir: URL;
  /** Gives up the start when it aborts: all that was started is stopped, and startShop rejects. */
  readonly signal?: AbortSignal;
  /** Makes haste with stopping when it aborts: nobody is waited for any longer. */
  readonly hasten?: AbortSignal;
  readonly clock?: Clock;
  /** Our environment, of which the processes get what they need; the process's own by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How programs reach each other; directly, unless a test stands in between. */
  readonly reach?: Reach;
  /** When a process that ended is started again. */
  readonly restartPolicy?: RestartPolicy;
}

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
// A service takes at most ten seconds to finish its calls.
const stopGraceMs = 12_000;

/**
 * Starts the whole shop and loads the sample catalogue into it if it is empty. Throws OperatorError, with everything
 * stopped again, when it cannot.
 */
export async function startShop(options: StartShopOptions): Promise<Shop> {
  const { clock = systemClock, programsDir } = options;
  const started = { startTime: clock.now(), begin: performance.now() };
  const services = findServices(programsDir, options.instances);
  const terminal = createTerminal({
    output: options.output,
    verbose: options.verbose,
    clock,
    names: [gatewayName, ...privatePrograms(services), postgresName],
  });
  const releases = createReleases((name, error) => terminal.warn(`${name} did not stop cleanly: ${messageOf(error)}`));
  try {
    return await start({ ...options, ...started, clock, services, terminal, releases });
  } catch (error) {
    await releases.run();
    throw error;
  }
}

interface Context extends StartShopOptions {
  readonly services: readonly Service[];
  readonly terminal: Terminal;
  readonly releases: Releases;
  readonly clock: Clock;
  readonly startTime: Date;
  /** The same on the clock that measures spans. */
  readonly begin: number;
}

async function start(context: Context): Promise<Shop> {
  const { port, terminal, releases, signal } = context;
  const address = `${loopback}:${port}`;
  const folder = await claimFolder(context);
  const secrets = loadSecrets(folder.secretsFile, servicesWithData(context));
  const postgres = await openPostgres(folder, context);
  throwIfInterrupted(signal);
  const plan = await planRun({ folder, secrets, postgres }, context);
  const fleet = openFleet({ folder, plan, postgres, address }, context);
  const failed = postgres.failed.then(() => postgresFailed(folder));
  // What is still being done for the start ends with it, whatever ends it.
  const ending = new AbortController();
  releases.add("the start", () => ending.abort());
  const opened = openShop({ fleet, plan, folder, address, terminal, signal: ending.signal });
  await interruptible(Promise.race([opened, failed.then(raise)]), signal);
  return {
    address,
    startedInMs: performance.now() - context.begin,
    terminal,
    processes: fleet.processes,
    failed,
    stop: releases.run,
  };
}

// Everything that can be wrong before anything has been started, and the claim on the folder.
async function claimFolder({ port, dataDir, terminal, releases }: Context): Promise<DataFolder> {
  checkNodeVersion();
  const folder = dataFolder(dataDir);
  prepareDataFolder(folder);
  const lock = await takeLock(folder.lockDir);
  releases.add("the data folder", lock.release);
  const killed = await stopLeftovers(folder);
  if (killed.length > 0)
    terminal.warn(`the last run was killed, and left behind: ${killed.join(", ")}; killed them too`);
  await checkPublicPort(port);
  return folder;
}

async function openPostgres(folder: DataFolder, context: Context): Promise<PostgresServer> {
  const { postgresUrl, postgresPrefix, terminal, verbose, releases } = context;
  const postgres =
    postgresUrl === undefined
      ? await startOwnPostgres({
          dataDir: folder.postgresDir,
          logFile: `${folder.logsDir}/postgres.log`,
          verbose,
          terminal,
        })
      : await useGivenPostgres(postgresUrl, postgresPrefix);
  releases.add("PostgreSQL", postgres.stop);
  return postgres;
}

async function planRun(
  parts: { readonly folder: DataFolder; readonly secrets: Secrets; readonly postgres: PostgresServer },
  context: Context,
): Promise<RunPlan> {
  const { folder, secrets, postgres } = parts;
  const { services, port, postgresPrefix, programsDir, logLevel, env = process.env, reach = directly } = context;
  const passwords = servicesWithData(context).map((name) => [name, secrets.databasePasswords[name] ?? ""]);
  const databaseUrls = await provisionDatabases(postgres.adminUrl, {
    passwords: Object.fromEntries(passwords),
    prefix: postgresPrefix,
  });
  const names = privatePrograms(services);
  const freePorts = await findFreePorts(names.length);
  return {
    programsDir,
    services,
    publicPort: port,
    ports: new Map(names.map((name, index) => [name, freePorts[index] ?? 0])),
    databaseUrls,
    reach,
    secrets,
    runId: randomUUID(),
    runSecret: newSecret(),
    simulatorDataDir: folder.simulatorDir,
    logLevel,
    env,
  };
}

function openFleet(
  parts: {
    readonly folder: DataFolder;
    readonly plan: RunPlan;
    readonly postgres: PostgresServer;
    readonly address: string;
  },
  { terminal, releases, clock, startTime, hasten, restartPolicy: policy = defaultRestartPolicy }: Context,
): Fleet {
  const { folder, plan, postgres, address } = parts;
  const { runId, runSecret: secret } = plan;
  const targets = targetsOf(plan);
  const describe = describeRun({ folder, runId, address, secret, targets, postgres, startTime });
  releases.add("the run file", () => removeRunState(folder));
  const fleet = createFleet({
    logsDir: folder.logsDir,
    terminal,
    policy,
    clock,
    onChange: (processes) => {
      try {
        writeRunState(folder, describe(processes));
      } catch (error) {
        // A full disk must not end a shop that runs; `status` shows what was true before.
        terminal.warn(`the run file can't be written: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
  });
  releases.add("the services", () => fleet.stop({ graceMs: stopGraceMs, hasten }));
  return fleet;
}

// The services first, then what is to be sold, and the door last.
async function openShop(parts: {
  readonly fleet: Fleet;
  readonly plan: RunPlan;
  readonly folder: DataFolder;
  readonly address: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { fleet, plan, folder, address, terminal, signal } = parts;
  await startInTime(fleet, await planInnerPrograms(plan));
  const mesh = operatorMesh({ secret: plan.runSecret, targets: targetsOf(plan) });
  try {
    await loadSampleIfEmpty({ mesh, markerFile: folder.loadingFile, terminal, signal });
  } finally {
    mesh.close();
  }
  await startInTime(fleet, await planGateway(plan));
  const health = await waitUntilServing(address, AbortSignal.any([signal, AbortSignal.timeout(readyMs)]));
  if (health !== "SERVING") throw new OperatorError(`the gateway says ${health} after ${readyMs / 1000} s`);
}

async function startInTime(fleet: Fleet, tiers: Tiers): Promise<void> {
  const timer = new AbortController();
  const late = delay(readyMs, true, { signal: timer.signal }).catch(() => false);
  try {
    const isLate = await Promise.race([fleet.start(tiers).then(() => false), late]);
    if (!isLate) return;
  } finally {
    timer.abort();
  }
  const names = fleet.processes().filter(({ state }) => state !== "ready");
  throw new OperatorError(`${names.map(({ name }) => name).join(", ")} took no calls after ${readyMs / 1000} s`);
}

function servicesWithData({ services }: Context): readonly string[] {
  return services.filter(({ ownsData }) => ownsData).map(({ name }) => name);
}

function raise(error: OperatorError): never {
  throw error;
}

function postgresFailed(folder: DataFolder): OperatorError {
  return new OperatorError("PostgreSQL ended unexpectedly", { details: [`see ${folder.logsDir}/postgres.log`] });
}
