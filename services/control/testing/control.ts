import { join } from "node:path";
import { DiscoveryService } from "#gen/mesh/v1/discovery_service.contract.ts";
import type { StreamResourcesRequest, StreamResourcesResponse } from "#gen/mesh/v1/discovery_service.ts";
import type { Instance, InstanceState } from "#gen/mesh/v1/instance.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisterRequest, RegisterResponse } from "#gen/mesh/v1/registry_service.ts";
import type { JoinDoor } from "#mesh/identity/join-door.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startTestMesh, type TestMesh, testConfig } from "#testing/mesh.ts";
import { freePort } from "#testing/ports.ts";
import { CONTROL_LIMITS, CONTROL_SHUTDOWN_BOUNDS, type Control, openControl } from "../control.ts";
import { type Requests, requests } from "./streams.ts";

/** A control plane of a test, over real sockets and files. */
export interface TestControl {
  readonly control: Control;
  readonly mesh: TestMesh;
  /** The time by which rules end; leases go by `advance`. */
  readonly clock: FakeClock;
  /** Moves both clocks on, and ends what has run out by then. */
  advance(ms: number): Promise<void>;
  call(workload: string): OwnCall;
  /** Registers an instance as its own service, and resolves when it is known. */
  register(instance?: Partial<Instance>, caller?: string): Promise<Registration>;
  /** Follows services as some workload does, from the first response on. */
  watch(services: readonly string[], options?: WatchOptions): Promise<Watch>;
  /** Where the join door is. Throws when it was not asked for. */
  readonly door: JoinDoor;
  close(): Promise<void>;
}

export interface ControlOptions {
  /** By default a new one, that goes with the control plane. */
  readonly dataDir?: string;
  /** The time that it is; the present unless given. */
  readonly now?: Date;
  /** Whether the join door is to be open. */
  readonly joinDoor?: boolean;
}

export interface WatchOptions {
  readonly caller?: string;
  /** Acknowledges by itself; otherwise the test does. */
  readonly acknowledges?: boolean;
}

export interface Registration {
  report(state: InstanceState): Promise<RegisterResponse>;
  send(request: RegisterRequest): void;
  next(): Promise<RegisterResponse>;
  /** Breaks the stream. */
  leave(): void;
}

export interface Watch {
  readonly responses: readonly StreamResourcesResponse[];
  /** The next response. */
  next(): Promise<StreamResourcesResponse>;
  /** The names of the instances of a service, as the last response has them. */
  instances(service: string): readonly string[];
  acknowledge(): void;
  subscribe(services: readonly string[]): void;
  leave(): void;
}

export const JOIN_SECRET = "5a".repeat(32);
export const CERTIFICATE_LIFETIME_MS = 3_600_000;
const TIMEOUT_MS = 30_000;

export function cart(overrides: Partial<Instance> = {}): Instance {
  const instance = { name: "cart-1", service: "cart", version: "v1", host: "127.0.0.1", port: 4001 };
  return { ...instance, startTime: undefined, ...overrides };
}

/** Starts one, with its files and its listeners. */
export async function startControl(options: ControlOptions = {}): Promise<TestControl> {
  const dataDir = options.dataDir ?? (await temporaryFolder());
  // Begins at the present: certificates are judged by the real time.
  const clock = fakeClock(options.now ?? new Date());
  let monotonicMs = 0;
  let opened: Control | undefined;
  const mesh = await startTestMesh(
    {
      control: async ({ log }) => {
        opened = await openControl({
          dataDir,
          joinSecret: JOIN_SECRET,
          certificateLifetimeMs: CERTIFICATE_LIFETIME_MS,
          clock,
          monotonicMs: () => monotonicMs,
          log,
        });
        return opened.services;
      },
    },
    { shutdownBounds: CONTROL_SHUTDOWN_BOUNDS, limits: CONTROL_LIMITS },
  );
  if (opened === undefined) throw new Error("the control plane was not opened");
  const control = opened;
  const door = options.joinDoor === true ? await openDoor(control, mesh) : undefined;
  const call = (workload: string): OwnCall => mesh.mesh(workload).background({ name: "test", timeoutMs: TIMEOUT_MS });
  return {
    control,
    mesh,
    clock,
    get door() {
      if (door === undefined) throw new Error("the join door was not opened");
      return { address: door.address, trustFile: join(dataDir, "trust.pem") };
    },
    call,
    async advance(ms) {
      clock.advance(ms);
      monotonicMs += ms;
      await control.tick();
    },
    register: (overrides, caller) => register({ mesh, overrides, caller }),
    watch: (services, watchOptions) => watch(mesh, services, watchOptions),
    async close() {
      control.freeze();
      await door?.close();
      await mesh.close();
      await control.close();
      if (options.dataDir === undefined) await removeFolder(dataDir);
    },
  };
}

/** The join door stands on TLS, the mesh of a test on secrets: it has a node of its own. */
async function openDoor(
  { certificates, joinServices }: Control,
  mesh: TestMesh,
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const { log, clock } = mesh.mesh("control");
  const node = createMeshNode("control", testConfig(), { certificates, log, clock });
  const port = await freePort();
  const listen = { host: "127.0.0.1", port };
  const server = await node.serve({ services: [], joinDoor: { listen, services: joinServices } });
  return { address: `127.0.0.1:${port}`, close: () => server.close() };
}

interface Registering {
  readonly mesh: TestMesh;
  readonly overrides: Partial<Instance> | undefined;
  readonly caller: string | undefined;
}

async function register({ mesh, overrides, caller }: Registering): Promise<Registration> {
  const instance = cart(overrides);
  const node = mesh.mesh(caller ?? instance.service);
  const ending = new AbortController();
  const call = node.background({ name: "register", timeoutMs: TIMEOUT_MS, signal: ending.signal });
  const sent = requests<RegisterRequest>({ content: { $case: "instance", value: instance } });
  const answers = node.client(RegistryService).register(sent, call)[Symbol.asyncIterator]();
  const next = () => nextOf(answers);
  await next();
  return {
    next,
    send: sent.send,
    report: (state) => {
      sent.send(reportOf(state));
      return next();
    },
    leave: () => ending.abort(),
  };
}

function reportOf(state: InstanceState): RegisterRequest {
  return { content: { $case: "report", value: { state, stats: undefined } } };
}

async function watch(mesh: TestMesh, services: readonly string[], options: WatchOptions = {}): Promise<Watch> {
  const node = mesh.mesh(options.caller ?? "gateway");
  const ending = new AbortController();
  const call = node.background({ name: "watch", timeoutMs: TIMEOUT_MS, signal: ending.signal });
  const subscription = (wanted: readonly string[], acknowledgedVersion: bigint): StreamResourcesRequest => ({
    services: wanted,
    acknowledgedVersion,
    instance: "test",
  });
  let wanted = services;
  const sent: Requests<StreamResourcesRequest> = requests(subscription(wanted, 0n));
  const answers = node.client(DiscoveryService).streamResources(sent, call)[Symbol.asyncIterator]();
  const responses: StreamResourcesResponse[] = [];
  const acknowledge = (): void => sent.send(subscription(wanted, responses.at(-1)?.version ?? 0n));
  const next = async (): Promise<StreamResourcesResponse> => {
    const response = await nextOf(answers);
    responses.push(response);
    if (options.acknowledges !== false) acknowledge();
    return response;
  };
  await next();
  return {
    responses,
    next,
    acknowledge,
    instances: (service) =>
      responses
        .at(-1)
        ?.clusters.find((cluster) => cluster.service === service)
        ?.endpoints.map(({ instance }) => instance) ?? [],
    subscribe(changed) {
      wanted = changed;
      acknowledge();
    },
    leave: () => ending.abort(),
  };
}

async function nextOf<T>(answers: AsyncIterator<T>): Promise<T> {
  const next = await answers.next();
  if (next.done === true) throw new Error("the stream has ended");
  return next.value;
}
