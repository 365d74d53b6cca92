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
import { createReleaseStore, type Release } from "../releases/store.ts";
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
  /** What `calls` answers; changed by the test. */
  counts: ReadonlyMap<string, Calls>;
  /** Told each time that it is asked for them. */
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

/** Starts one instance of `cart` of the version `v1`, and control. */
export async function startTestSupervisor(
  options: { readonly watchMs?: number; readonly readyMs?: number } = {},
): Promise<TestSupervisor> {
  const built = builtFolder();
  for (const kind of ["cart", "control"]) built.write(kind, wellBehavedService("v1"));
  const output = captureOutput();
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
  const releases = await Promise.all(["cart", "control"].map(take));
  const control = playControl();
  const stop = { graceMs: 10_000 };
  const crew = createCrew({
    kinds,
    fleet,
    places,
    view: control,
    programOf,
    releases,
    maxWithData: () => 8,
    readyMs: options.readyMs ?? 20_000,
    stop,
  });
  const changes = createChanges();
  const first = await places.take(kinds.filter(({ name }) => ["cart", "control"].includes(name)));
  await fleet.start(
    first.flatMap((place) =>
      releases.filter(({ kind }) => kind === place.kind.name).map((one) => programOf(place, one)),
    ),
  );
  const { watchMs = 20 } = options;
  const { processes } = fleet;
  const deps = { crew, fleet, view: control, watchMs, changes, releases: store, processes, say: terminal.say };
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
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    async calls() {
      const now = this.counts;
      this.onCalls();
      return now;
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
