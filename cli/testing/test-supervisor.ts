import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { type RolloutServiceResponse, RolloutStep } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import { systemClock } from "#mesh/clock.ts";
import { type Client, implement } from "#mesh/contract/contract.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { createPlaces, type Place } from "../places.ts";
import { createReleaseStore, type Release, type ReleaseStore } from "../releases/store.ts";
import { createChanges } from "../supervisor/changes.ts";
import { type Crew, createCrew } from "../supervisor/crew.ts";
import { createFleet, type Fleet } from "../supervisor/fleet.ts";
import { supervisorHandlers } from "../supervisor/handlers.ts";
import type { MeshView } from "../supervisor/mesh-view.ts";
import type { Program } from "../supervisor/process.ts";
import type { Calls } from "../supervisor/proof.ts";
import { defaultRestartPolicy } from "../supervisor/restart-policy.ts";
import { findKinds } from "../topology.ts";
import { type BuiltFolder, builtFolder } from "./built-folder.ts";
import { type CapturedOutput, captureOutput, terminalTo } from "./programs.ts";

/** A supervisor with a fleet of small programs, and control played by the test. */
export interface TestSupervisor {
  readonly built: BuiltFolder;
  readonly client: Client<typeof SupervisorService>;
  readonly mesh: TestMesh;
  readonly fleet: Fleet;
  readonly crew: Crew;
  readonly control: PlayedControl;
  readonly releases: ReleaseStore;
  readonly output: CapturedOutput;
  call(signal?: AbortSignal): OwnCall;
  /** The instances of a service as `cart-1 v1`. */
  instances(service?: string): readonly string[];
  pidOf(name: string): number;
  /** Rolls out whatever is built now, under a name, and returns the steps as `STARTING cart-2`. */
  rollOut(version: string): Promise<readonly string[]>;
  /** Stops the changes and then the fleet, as `up` does. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export interface PlayedControl extends MeshView {
  /** What `calls` answers; changed by the test. Undefined while control does not answer. */
  counts: ReadonlyMap<string, Calls> | undefined;
  /** Told each time that it is asked for them, after it has looked what to answer. */
  onCalls: () => void;
  /** Instances that are never registered. */
  unknown: ReadonlySet<string>;
  /** Every split that was set; undefined where it was ended. */
  readonly splits: (TrafficSplit | undefined)[];
}

/** A program that is ready at once, tells when it is asked to end, and ends. */
export const wellBehavedService = (version: string): string => `
  process.on("SIGTERM", () => process.stdout.write(process.env.NAME + " ${version} asked to end\\n", () => process.exit(0)));
  process.on("disconnect", () => process.exit(0));
  process.send({ type: "ready" });
`;

const callMs = 60_000;
const stop = { graceMs: 10_000 };

interface Options {
  readonly watchMs?: number;
  readonly lookMs?: number;
  readonly readyMs?: number;
}

/** Starts one instance of `cart` of the version `v1`, and control. */
export async function startTestSupervisor({
  watchMs = 20,
  lookMs = 20_000,
  readyMs = 20_000,
}: Options = {}): Promise<TestSupervisor> {
  const built = builtFolder();
  const output = captureOutput();
  const control = playControl();
  const { fleet, crew, releases, terminal } = await startFleet({ built, output, control, readyMs });
  const changes = createChanges();
  const { processes } = fleet;
  const deps = { crew, fleet, view: control, watchMs, lookMs, changes, releases, processes, say: terminal.say };
  const mesh = await startTestMesh({ supervisor: () => [implement(SupervisorService, supervisorHandlers(deps))] });
  const operator = mesh.mesh("operator");
  const client = operator.client(SupervisorService);
  const call = (signal?: AbortSignal): OwnCall => operator.background({ name: "test", timeoutMs: callMs, signal });
  const stopAll = async (): Promise<void> => {
    changes.stop();
    await fleet.stop(stop);
  };
  return {
    built,
    client,
    mesh,
    fleet,
    crew,
    control,
    releases,
    output,
    call,
    instances: (service = "cart") =>
      crew.instances(crew.kindOf(service)).map(({ name, release }) => `${name} ${release.version}`),
    pidOf: (name) => processes().find((one) => one.name === name)?.pid ?? 0,
    async rollOut(version) {
      const request = { requestId: crypto.randomUUID(), service: "cart", release: { version, programsDir: "" } };
      return stepsOf(client.rolloutService(request, call()));
    },
    stop: stopAll,
    async close() {
      await stopAll();
      await mesh.close();
      built.remove();
    },
  };
}

async function startFleet({
  built,
  output,
  control,
  readyMs,
}: Pick<TestSupervisor, "built" | "output" | "control"> & { readonly readyMs: number }) {
  const wanted = ["cart", "control"];
  for (const kind of wanted) built.write(kind, wellBehavedService("v1"));
  const logsDir = join(built.dir, "logs");
  mkdirSync(logsDir);
  const terminal = terminalTo(output);
  const policy = { ...defaultRestartPolicy, initialMs: 10, maxMs: 40, readyMs: 20_000 };
  const fleet = createFleet({ logsDir, terminal, policy, clock: systemClock, onChange: () => undefined });
  const kinds = findKinds(built.programsDir);
  const places = createPlaces(8080);
  const store = createReleaseStore({ dir: join(built.dir, "releases"), programsDir: built.dir, clock: systemClock });
  const take = async (kind: string): Promise<Release> => {
    const taken = await store.take(kind, { version: "v1", programsDir: "" });
    if (!taken.ok) throw new Error(taken.error);
    return taken.value;
  };
  const releases = await Promise.all(wanted.map(take));
  const view = control;
  const maxWithData = (): number => 8;
  const crew = createCrew({ kinds, fleet, places, view, programOf, releases, maxWithData, readyMs, stop });
  const first = await places.take(kinds.filter(({ name }) => wanted.includes(name)));
  const programs = first.flatMap((place) =>
    releases.filter(({ kind }) => kind === place.kind.name).map((one) => programOf(place, one)),
  );
  await fleet.start(programs);
  return { fleet, crew, releases: store, terminal };
}

function programOf({ name, kind, port }: Place, { version, file }: Release): Program {
  const env = async () => ({ PATH: process.env.PATH ?? "", NAME: name });
  return { name, service: kind.name, version, tier: kind.tier, file, port, env };
}

/** Steps of a rollout in words, to its end. */
export async function stepsOf(steps: AsyncIterable<RolloutServiceResponse>): Promise<readonly string[]> {
  const words: string[] = [];
  for await (const { step, instance } of steps) {
    const name = Object.entries(RolloutStep).find(([, value]) => value === step)?.[0] ?? "";
    words.push(instance === "" ? name : `${name} ${instance}`);
  }
  return words;
}

function playControl(): PlayedControl {
  const splits: (TrafficSplit | undefined)[] = [];
  return {
    counts: new Map(),
    onCalls: () => undefined,
    unknown: new Set(),
    splits,
    serving({ instance }, signal) {
      if (!this.unknown.has(instance)) return Promise.resolve();
      return never(signal);
    },
    calls(_, signal) {
      const now = this.counts;
      this.onCalls();
      if (now === undefined) return never(signal);
      return Promise.resolve(new Map([...now].map(([name, calls]) => [name, { ...calls, atMs: 1 }])));
    },
    async setSplit(_, split) {
      splits.push(split);
      return split;
    },
    async clearSplit() {
      splits.push(undefined);
    },
  };
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}
