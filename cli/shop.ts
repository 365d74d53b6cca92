import { type Clock, systemClock } from "#mesh/clock.ts";
import { loadSampleIfEmpty } from "./catalogue/sample.ts";
import { waitUntilServing } from "./checks/health.ts";
import { checkNodeVersion } from "./checks/node-version.ts";
import { checkPublicPort, findFreePorts, loopback } from "./checks/ports.ts";
import { type DataFolder, dataFolder, prepareDataFolder } from "./data/folder.ts";
import { takeLock } from "./data/lock.ts";
import { removeRunState, writeRunState } from "./data/run-file.ts";
import { loadSecrets, newSecret, type Secrets } from "./data/secrets.ts";
import { createTerminal, type Terminal } from "./logs/terminal.ts";
import type { OperatorAccess } from "./operator-client.ts";
import { messageOf, OperatorError } from "./operator-error.ts";
import type { Output } from "./output.ts";
import { type PostgresServer, provisionDatabases, startOwnPostgres, useGivenPostgres } from "./postgres-server.ts";
import { createReleases, type Releases } from "./releases.ts";
import { interruptible, throwIfInterrupted } from "./run-signal.ts";
import { describeRun } from "./run-state.ts";
import type { Settings } from "./settings.ts";
import { type Fleet, startFleet } from "./supervisor/fleet.ts";
import { defaultRestartPolicy, type ProcessStatus } from "./supervisor/supervise.ts";
import {
  checkPrograms,
  planPrograms,
  privatePrograms,
  servicesWithData,
  simulatorName,
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

// From the first process to the first call.
const readyMs = 60_000;
// A service takes at most ten seconds to finish its calls.
const stopGraceMs = 12_000;

/**
 * Starts the whole shop and loads the sample catalogue into it if it is empty. Throws OperatorError, with everything
 * stopped again, when it cannot.
 */
export async function startShop(options: StartShopOptions): Promise<Shop> {
  const terminal = createTerminal({
    output: options.output,
    verbose: options.verbose,
    clock: options.clock ?? systemClock,
    names: ["gateway", ...servicesWithData, simulatorName, "postgres"],
  });
  const releases = createReleases((name, error) => terminal.warn(`${name} did not stop cleanly: ${messageOf(error)}`));
  try {
    return await start({ ...options, terminal, releases, begin: performance.now() });
  } catch (error) {
    await releases.run();
    throw error;
  }
}

interface Context extends StartShopOptions {
  readonly terminal: Terminal;
  readonly releases: Releases;
  readonly begin: number;
}

async function start(context: Context): Promise<Shop> {
  const { port, terminal, releases, signal } = context;
  const address = `${loopback}:${port}`;
  const folder = await claimFolder(context);
  const secrets = loadSecrets(folder.secretsFile, servicesWithData);
  const postgres = await openPostgres(folder, context);
  throwIfInterrupted(signal);
  const run = await startProcesses({ folder, secrets, postgres }, context);
  const failed = postgres.failed.then(
    () => new OperatorError("PostgreSQL ended unexpectedly", { details: [seeLog(folder)] }),
  );
  await interruptible(Promise.race([awaitReady(run.fleet, address), failed.then(raise)]), signal);
  const markerFile = folder.loadingFile;
  await interruptible(loadSampleIfEmpty({ access: run.access, markerFile, terminal, signal }), signal);
  return {
    address,
    startedInMs: performance.now() - context.begin,
    terminal,
    processes: run.fleet.processes,
    failed,
    stop: releases.run,
  };
}

// Everything that can be wrong before anything has been started, and the claim on the folder.
async function claimFolder({ port, dataDir, programsDir, releases }: Context): Promise<DataFolder> {
  checkNodeVersion();
  checkPrograms(programsDir);
  const folder = dataFolder(dataDir);
  prepareDataFolder(folder);
  const lock = await takeLock(folder.lockDir);
  releases.add("the data folder", lock.release);
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

interface Run {
  readonly fleet: Fleet;
  readonly access: OperatorAccess;
}

async function startProcesses(
  parts: { readonly folder: DataFolder; readonly secrets: Secrets; readonly postgres: PostgresServer },
  context: Context,
): Promise<Run> {
  const { folder, secrets, postgres } = parts;
  const { port, postgresPrefix, terminal, releases, clock = systemClock, hasten } = context;
  const databaseUrls = await provisionDatabases(postgres.adminUrl, {
    passwords: Object.fromEntries(servicesWithData.map((name) => [name, secrets.databasePasswords[name] ?? ""])),
    prefix: postgresPrefix,
  });
  const freePorts = await findFreePorts(privatePrograms.length);
  const ports = new Map(privatePrograms.map((name, index) => [name, freePorts[index] ?? 0]));
  const secret = newSecret();
  const tiers = planPrograms({
    programsDir: context.programsDir,
    publicPort: port,
    ports,
    databaseUrls,
    secrets,
    runSecret: secret,
    simulatorDataDir: folder.simulatorDir,
    logLevel: context.logLevel,
    env: context.env ?? process.env,
  });
  const describe = describeRun({
    folder,
    address: `${loopback}:${port}`,
    secret,
    ports,
    postgres,
    startTime: clock.now(),
  });
  releases.add("the run file", () => removeRunState(folder));
  const fleet = startFleet({
    tiers,
    logsDir: folder.logsDir,
    terminal,
    policy: defaultRestartPolicy,
    clock,
    onChange: (processes) => writeRunState(folder, describe(processes)),
  });
  releases.add("the services", () => fleet.stop({ graceMs: stopGraceMs, hasten }));
  return { fleet, access: { secret, targets: targetsOf(ports) } };
}

async function awaitReady(fleet: Fleet, address: string): Promise<void> {
  const timeout = AbortSignal.timeout(readyMs);
  const late = new Promise<"late">((resolve) =>
    timeout.addEventListener("abort", () => resolve("late"), { once: true }),
  );
  if ((await Promise.race([fleet.ready, late])) === "late") {
    const names = fleet
      .processes()
      .filter(({ state }) => state !== "ready")
      .map(({ name }) => name);
    throw new OperatorError(`${names.join(", ")} took no calls after ${readyMs / 1000} s`);
  }
  const health = await waitUntilServing(address, timeout);
  if (health !== "SERVING") {
    throw new OperatorError(`the gateway says ${health} after ${readyMs / 1000} s: some service is not healthy`);
  }
}

function raise(error: OperatorError): never {
  throw error;
}

function seeLog(folder: DataFolder): string {
  return `see ${folder.logsDir}/postgres.log`;
}
