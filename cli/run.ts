import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { bindPublicSocket, type PublicSocket } from "#mesh/public-socket.ts";
import { checkNodeVersion } from "./checks/node-version.ts";
import { checkPublicPort, findFreePorts, loopback } from "./checks/ports.ts";
import { type DataFolder, dataFolder, prepareDataFolder } from "./data/folder.ts";
import { stopLeftovers } from "./data/leftovers.ts";
import { takeLock } from "./data/lock.ts";
import { type RunProcess, removeRunState, writeRunState } from "./data/run-file.ts";
import { loadSecrets } from "./data/secrets.ts";
import { environmentOf } from "./environment.ts";
import { messageOf, OperatorError } from "./operator-error.ts";
import { createPlaces, type Place } from "./places.ts";
import { type PostgresServer, provisionDatabases, startOwnPostgres, useGivenPostgres } from "./postgres-server.ts";
import { createReleaseStore, type Release, type ReleaseStore } from "./releases/store.ts";
import type { Context } from "./run-context.ts";
import { directly, type RunPlan, rememberWays, type Targets, targetsOf } from "./run-plan.ts";
import { describePostgres, describeRun } from "./run-state.ts";
import { createFleet, type Fleet } from "./supervisor/fleet.ts";
import type { Program } from "./supervisor/process.ts";
import { defaultRestartPolicy } from "./supervisor/restart-policy.ts";
import { gatewayName, type Kind, supervisorName } from "./topology.ts";

/** One run of the shop, from the first process on. */
export interface Run {
  readonly folder: DataFolder;
  readonly plan: RunPlan;
  readonly fleet: Fleet;
  readonly store: ReleaseStore;
  /** The builds with which the run begins, one of each kind. */
  readonly releases: readonly Release[];
  /** The public address. */
  readonly address: string;
  /** The programs with which the run begins, of the kinds that are wanted. */
  programs(isWanted: (kind: string) => boolean): readonly Program[];
  programOf(place: Place, release: Release): Program;
  /** How many processes that keep data PostgreSQL has room for. */
  maxWithData(): number;
  /** To be told once, when it is there. */
  setPostgres(postgres: PostgresServer): void;
  setDatabaseUrls(urls: ReadonlyMap<string, string>): void;
  /** To be told once, when we can be called as a part of the mesh. */
  setSupervisor(address: string): void;
}

/** A service takes two seconds at most until its callers have turned away, then ten and a half to finish its calls. */
export const stopGraceMs = 15_000;

/** Everything that can be wrong before anything has been started, and the claim on the folder. */
export async function claimFolder({ port, dataDir, terminal, cleanup }: Context): Promise<DataFolder> {
  checkNodeVersion();
  const folder = dataFolder(dataDir);
  prepareDataFolder(folder);
  const lock = await takeLock(folder.lockDir);
  cleanup.add("the data folder", lock.release);
  const killed = await stopLeftovers(folder);
  if (killed.length > 0)
    terminal.warn(`the last run was killed, and left behind: ${killed.join(", ")}; killed them too`);
  await checkPublicPort(port);
  return folder;
}

/** Plans a run, and opens its fleet, in which nothing runs yet. */
export async function openRun(folder: DataFolder, context: Context): Promise<Run> {
  const { kinds, clock, programsDir } = context;
  let databaseUrls: ReadonlyMap<string, string> = new Map();
  let postgres: PostgresServer | undefined;
  let supervisor: Targets = {};
  const { plan, places } = await planRun(folder, context, (service) => databaseUrls.get(service));
  const store = createReleaseStore({ dir: folder.releasesDir, programsDir: fileURLToPath(programsDir), clock });
  const releases = await Promise.all(kinds.map((kind) => takeRelease(kind, store)));
  const socket = await claimPublicPort(context);
  const programOf = (place: Place, release: Release): Program => {
    const program = planProgram(place, release, plan);
    return place.kind.name === gatewayName ? { ...program, socket } : program;
  };
  const { fleet, stop, tell } = openFleet(folder, context, {
    plan,
    targets: () => ({ ...targetsOf(plan.places), ...supervisor }),
    postgres: once(() => (postgres === undefined ? undefined : describePostgres(folder, postgres, context.startTime))),
  });
  return {
    folder,
    plan,
    fleet,
    store,
    releases,
    address: `${loopback}:${context.port}`,
    programs: (isWanted) =>
      places
        .filter(({ kind }) => isWanted(kind.name))
        .flatMap((place) =>
          releases.filter(({ kind }) => kind === place.kind.name).map((one) => programOf(place, one)),
        ),
    programOf,
    maxWithData: () => postgres?.maxPrograms ?? 0,
    setPostgres(server) {
      postgres = server;
      // Whatever uses it ends before it does.
      context.cleanup.add("the services", stop);
    },
    setDatabaseUrls(urls) {
      databaseUrls = urls;
    },
    setSupervisor(address) {
      supervisor = { [supervisorName]: [address] };
      tell();
    },
  };
}

function openFleet(
  folder: DataFolder,
  { port, startTime, terminal, clock, cleanup, hasten, restartPolicy: policy = defaultRestartPolicy }: Context,
  parts: {
    readonly plan: RunPlan;
    readonly targets: () => Targets;
    readonly postgres: () => readonly RunProcess[] | undefined;
  },
): { readonly fleet: Fleet; readonly stop: () => Promise<void>; readonly tell: () => void } {
  const { runId, joinAddress } = parts.plan;
  const address = `${loopback}:${port}`;
  const describe = describeRun({
    runId,
    address,
    joinAddress,
    startTime,
    targets: parts.targets,
    postgres: parts.postgres,
  });
  cleanup.add("the run file", () => removeRunState(folder));
  const tell = (): void => {
    try {
      writeRunState(folder, describe(fleet.processes()));
    } catch (error) {
      // A full disk must not end a shop that runs; `status` shows what was true before.
      terminal.warn(`the run file can't be written: ${messageOf(error)}`);
    }
  };
  const fleet = createFleet({ logsDir: folder.logsDir, terminal, policy, clock, onChange: tell });
  const stop = (): Promise<void> => fleet.stop({ graceMs: stopGraceMs, hasten });
  cleanup.add("the processes", stop);
  return { fleet, stop, tell };
}

/** The public port is ours for the whole run, whoever of the gateways comes and goes. */
async function claimPublicPort({ port, cleanup }: Context): Promise<PublicSocket> {
  const socket = await bindPublicSocket({ host: loopback, port }).catch((error: unknown) => {
    throw new OperatorError(`port ${port} can't be opened: ${messageOf(error)}`, { cause: error });
  });
  cleanup.add("the public port", socket.close);
  return socket;
}

/** Asks until there is an answer, and keeps it. */
function once<T>(ask: () => T | undefined): () => T | undefined {
  let answer: T | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}

async function takeRelease({ name }: Kind, store: ReleaseStore): Promise<Release> {
  const taken = await store.take(name, { version: "", programsDir: "" });
  if (taken.ok) return taken.value;
  throw new OperatorError(taken.error);
}

async function planRun(
  folder: DataFolder,
  context: Context,
  databaseUrl: RunPlan["databaseUrl"],
): Promise<{ readonly plan: RunPlan; readonly places: readonly Place[] }> {
  const { kinds, counts, port, logLevel, clock, env = process.env, reach = directly } = context;
  const places = createPlaces(port);
  const first = await places.take(
    kinds.flatMap((kind) => Array.from({ length: counts.get(kind.name) ?? 1 }, () => kind)),
  );
  const [joinPort = 0] = await findFreePorts(1);
  const plan: RunPlan = {
    places,
    publicPort: port,
    joinAddress: `${loopback}:${joinPort}`,
    controlDir: folder.controlDir,
    databaseUrl,
    reach: rememberWays(reach),
    secrets: loadSecrets(folder.secretsFile, servicesWithData(context)),
    runId: randomUUID(),
    simulatorDir: folder.simulatorDir,
    mailDir: folder.mailDir,
    logLevel,
    clock,
    env,
  };
  return { plan, places: first };
}

function planProgram(place: Place, { version, file }: Release, plan: RunPlan): Program {
  const { name, kind, port } = place;
  return {
    name,
    service: kind.isService ? kind.name : "",
    version,
    tier: kind.tier,
    file,
    env: () => environmentOf(place, version, plan),
    port,
  };
}

/** Starts PostgreSQL, or goes to the operator's. */
export async function openPostgres(run: Run, context: Context): Promise<PostgresServer> {
  const { postgresUrl, postgresPrefix, terminal, verbose, cleanup } = context;
  const { postgresDir, logsDir } = run.folder;
  const postgres =
    postgresUrl === undefined
      ? await startOwnPostgres({ dataDir: postgresDir, logFile: `${logsDir}/postgres.log`, verbose, terminal })
      : await useGivenPostgres(postgresUrl, postgresPrefix);
  cleanup.add("PostgreSQL", postgres.stop);
  run.setPostgres(postgres);
  return postgres;
}

/** Gives each service that keeps data its database. */
export async function openDatabases(run: Run, postgres: PostgresServer, context: Context): Promise<void> {
  const { databasePasswords } = run.plan.secrets;
  const withData = run.plan.places.all().filter(({ kind }) => kind.ownsData).length;
  if (withData > postgres.maxPrograms) {
    throw new OperatorError(`at most ${postgres.maxPrograms} processes can share this PostgreSQL, not ${withData}`);
  }
  const passwords = servicesWithData(context).map((name) => [name, databasePasswords[name] ?? ""]);
  run.setDatabaseUrls(
    await provisionDatabases(postgres.adminUrl, {
      passwords: Object.fromEntries(passwords),
      prefix: context.postgresPrefix,
    }),
  );
}

function servicesWithData({ kinds }: Context): readonly string[] {
  return kinds.filter(({ ownsData }) => ownsData).map(({ name }) => name);
}
