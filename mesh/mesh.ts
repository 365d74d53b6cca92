import { performance } from "node:perf_hooks";
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import { DiscoveryService } from "#gen/mesh/v1/discovery_service.contract.ts";
import type { TrustBundle } from "#gen/mesh/v1/discovery_service.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { type Clock, systemClock } from "#mesh/clock.ts";
import type { JoinConfig, MeshConfig } from "#mesh/config.ts";
import type { Client, Contract, Implementation } from "#mesh/contract/contract.ts";
import type { EndpointSource } from "#mesh/discovery/endpoints.ts";
import type { Registration } from "#mesh/discovery/registration.ts";
import { createWhereabouts } from "#mesh/discovery/whereabouts.ts";
import type { CertificateSource, JoinError } from "#mesh/identity/certificates.ts";
import { identityServiceKeys } from "#mesh/identity/identity-service-keys.ts";
import { memberOf } from "#mesh/identity/joining.ts";
import { createKeyRing, KEY_FETCH_TIMEOUT_MS, type SigningKeySource } from "#mesh/identity/key-ring.ts";
import type { Membership } from "#mesh/identity/membership.ts";
import { createUserTokens, type UserTokens } from "#mesh/identity/user-tokens.ts";
import { type CallAdmission, processAdmission, sharedCeiling } from "#mesh/rpc/admission.ts";
import type { Call, OwnCall, User } from "#mesh/rpc/call.ts";
import { type BackgroundOptions, backgroundCall } from "#mesh/rpc/call-context.ts";
import { type CallStats, createCallStats } from "#mesh/rpc/call-stats.ts";
import { createChannels, STARTUP_GRACE_MS } from "#mesh/rpc/channels.ts";
import { createClient } from "#mesh/rpc/client.ts";
import { type Door, WorkloadServerCredentials } from "#mesh/rpc/credentials.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { LISTENER_LIMITS, type ListenerLimits, MAX_CONCURRENT_CALLS, MIN_CONCURRENT_CALLS } from "#mesh/rpc/limits.ts";
import { createPeers } from "#mesh/rpc/peers.ts";
import type { Queue } from "#mesh/rpc/pressure.ts";
import { endWhenLost, endWithProcess } from "#mesh/rpc/process-end.ts";
import { createRefusalLog } from "#mesh/rpc/refusal-log.ts";
import { createRetryBudgets } from "#mesh/rpc/retry-rules.ts";
import { type RunningServer, type StartOptions, startServer } from "#mesh/rpc/server.ts";
import { SHUTDOWN_BOUNDS, type ShutdownBounds } from "#mesh/rpc/server-shutdown.ts";
import { followTargets } from "#mesh/rpc/targets.ts";
import { createLogger } from "#mesh/telemetry/log.ts";

export type { RunningServer } from "#mesh/rpc/server.ts";

/** One process's part of the mesh: its clients, its server, and who it is. */
export interface Mesh {
  /** Which workload this is: `orders`. */
  readonly name: string;
  readonly config: MeshConfig;
  readonly log: Logger;
  readonly clock: Clock;
  /** The calls that this process has taken, as the registry is told of them. */
  readonly stats: CallStats;
  /** A typed client. Its target is `mesh:///<contract.owner>`; all clients of one owner share connections. */
  client<C extends Contract>(contract: C): Client<C>;
  /** A `Call` for work that nobody asked for: no caller, no end user, a deadline of its own. Say when it is `done`. */
  background(options: BackgroundOptions): OwnCall;
  /** The end user of a token that stands in a request. Throws an `RpcError` TOKEN_INVALID or TOKEN_EXPIRED. */
  verifyUser(token: string, call: Call): Promise<User>;
  /**
   * Listens and takes calls; answers health and reflection too. From then on the process ends itself, cleanly, at
   * SIGTERM, SIGINT or the loss of its parent. Rejects when the address cannot be listened on.
   */
  serve(options: ServeOptions): Promise<RunningServer>;
}

export interface ServeOptions {
  readonly services: readonly Implementation[];
  /** Where to find the keys that sign user tokens, when not by asking identity: identity passes its own. */
  readonly signingKeys?: SigningKeySource;
  /**
   * A second listener, for processes that have no certificate yet: it proves itself, asks for no proof, and serves these
   * and nothing else, no health and no reflection. Its callers are the workload "".
   */
  readonly joinDoor?: { readonly listen: MeshConfig["listen"]; readonly services: readonly Implementation[] };
  /** Where the work of calls waits, beside the event loop: fewer calls are let in when it waits long there. */
  readonly queues?: readonly Queue[];
  /** Releases what the handlers used, after the last call has ended. */
  readonly close?: () => Promise<void>;
}

/** What a mesh stands on; tests put their own parts in. */
export interface MeshParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly endpoints: EndpointSource;
  /** Whom this process proves to be, and whom it believes; it joins as its settings say, when left out. */
  readonly certificates: CertificateSource;
  readonly signingKeys: SigningKeySource;
  readonly descriptors: () => Uint8Array;
  /** How long after its start a process waits for services that it has not seen yet. */
  readonly startupGraceMs: number;
  /** Calls answered once that run at a time, at the least and at the most; the rest is shed. */
  readonly minConcurrentCalls: number;
  readonly maxConcurrentCalls: number;
  readonly limits: ListenerLimits;
  /** How it joins, where not as its settings say. */
  readonly join: JoinConfig;
  readonly joinTimeoutMs: number;
  /** Told once, when this process has no certificate and can get none: it is of no more use. */
  readonly onLost: (error: JoinError, log: Logger) => void;
  /** For a process that takes calls by itself, as the gateway does. */
  readonly stats: CallStats;
  readonly shutdownBounds: ShutdownBounds;
}

/** The mesh as one process holds it, without the process: nothing listens to signals, nobody exits. */
export interface MeshNode extends Omit<Mesh, "serve"> {
  serve(options: ServeOptions): Promise<RunningServer>;
  /** Where the instances of each service are. */
  readonly endpoints: EndpointSource;
  /** Makes what listens at a port known to others. `serve` does it by itself; for a process that takes calls otherwise. */
  register(port: number): Registration;
  /** Resolves when this process has joined, before which no call gets through. Rejects with a JoinError if it cannot. */
  joined(): Promise<void>;
  /** Whom this process proves to be: for connections of its own making. */
  readonly certificates: CertificateSource;
  /** Closes the connections to other services. */
  close(): void;
}

/** Joins this process to the mesh as workload `name`. Connects to nothing before the first call. */
export function createMesh(name: string, config: MeshConfig): Mesh {
  const node = createMeshNode(name, config, { onLost: endWhenLost });
  return {
    ...node,
    async serve(options) {
      const server = await node.serve(options);
      endWithProcess(server, node.log);
      return server;
    },
  };
}

/** A mesh without process hooks, for tests and for processes that have several. */
export function createMeshNode(name: string, config: MeshConfig, given: Partial<MeshParts> = {}): MeshNode {
  const common = withDefaults(name, config, given);
  const { log, clock } = common;
  const onTrust = (bundle: TrustBundle): void => member.trust(bundle);
  const whereabouts = createWhereabouts({ name, config, startTime: clock.now(), log, onTrust });
  const parts = { ...common, endpoints: given.endpoints ?? whereabouts.endpoints };
  // Its own lines are not ours in form, and some show the values of headers.
  if (!log.isLevelEnabled("debug")) setLogVerbosity(logVerbosity.NONE);
  const queues: Queue[] = [];
  const calls = processAdmission({ min: parts.minConcurrentCalls, max: parts.maxConcurrentCalls, queues });
  const stats = given.stats ?? createCallStats(calls.limit);
  const background = (options: BackgroundOptions): OwnCall => backgroundCall(options, log);
  const member = memberOf(given.certificates, () => {
    const join = { config: given.join ?? config.join, timeoutMs: given.joinTimeoutMs };
    const onLost = (error: JoinError): void => parts.onLost(error, log);
    return { service: name, ...join, certificates: () => client(CertificateService), background, clock, log, onLost };
  });
  const channels = createChannels({ endpoints: parts.endpoints }, member, parts.startupGraceMs);
  const targets = followTargets(parts.endpoints, name);
  const budgets = createRetryBudgets();
  const close = (): void => {
    whereabouts.close();
    member.close();
    targets.close();
    channels.close();
  };
  const client = <C extends Contract>(contract: C): Client<C> => {
    // So that it is known where the service is before the first call.
    parts.endpoints.watch(contract.owner, nobody);
    return createClient({ log, channels, targets, budgets }, contract);
  };
  whereabouts.join({ discovery: client(DiscoveryService), registry: client(RegistryService), background });
  const register = (port: number): Registration => whereabouts.register(port, stats.read);
  let ownKeys = given.signingKeys;
  const publishedKeys = identityServiceKeys(client(IdentityService), (signal) =>
    background({ name: "signing-keys", timeoutMs: KEY_FETCH_TIMEOUT_MS, signal }),
  );
  const users = usersBy(common, { keys: (signal) => (ownKeys ?? publishedKeys).keys(signal) });
  return {
    name,
    config,
    log,
    clock,
    stats,
    client,
    background,
    endpoints: parts.endpoints,
    register,
    joined: () => member.joined(),
    certificates: member,
    verifyUser: async (token) => users.verify(token),
    serve(options) {
      ownKeys = options.signingKeys ?? ownKeys;
      queues.push(...(options.queues ?? []));
      return serve({ config, parts, member, users, calls, stats, register, close }, options);
    },
    close,
  };
}

/** One and the same, so that many clients of a service leave one listener. */
const nobody = (): void => {};

function usersBy({ log, clock }: Pick<MeshParts, "log" | "clock">, keys: SigningKeySource): UserTokens {
  return createUserTokens(
    createKeyRing(keys, log, () => performance.now()),
    clock,
  );
}

type CommonParts = Omit<MeshParts, "signingKeys" | "certificates" | "join" | "joinTimeoutMs" | "stats" | "endpoints">;

function withDefaults(name: string, config: MeshConfig, given: Partial<MeshParts>): CommonParts {
  const { instance, version, logLevel: level } = config;
  return {
    clock: given.clock ?? systemClock,
    log: given.log ?? createLogger({ workload: name, instance, version, level }),
    descriptors: given.descriptors ?? readDescriptors,
    startupGraceMs: given.startupGraceMs ?? STARTUP_GRACE_MS,
    minConcurrentCalls: given.minConcurrentCalls ?? MIN_CONCURRENT_CALLS,
    maxConcurrentCalls: given.maxConcurrentCalls ?? MAX_CONCURRENT_CALLS,
    limits: given.limits ?? LISTENER_LIMITS,
    shutdownBounds: given.shutdownBounds ?? SHUTDOWN_BOUNDS,
    onLost: given.onLost ?? ((error, log) => log.error({ reason: error.message }, "not in the mesh")),
  };
}

interface Serving {
  readonly config: MeshConfig;
  readonly parts: CommonParts;
  readonly member: Membership;
  readonly users: UserTokens;
  readonly calls: CallAdmission;
  readonly stats: CallStats;
  readonly register: MeshNode["register"];
  readonly close: () => void;
}

/** How long a process that starts waits to be known. Without control it serves all the same, and registers later. */
const REGISTER_WAIT_MS = 1_000;

async function serve(serving: Serving, options: ServeOptions): Promise<RunningServer> {
  const { config, member } = serving;
  await member.joined();
  const door = options.joinDoor && (await open(serving, { ...options.joinDoor, door: "joining" }));
  const listener = { listen: config.listen, services: options.services, door: "workloads" as const };
  let registration: Registration | undefined;
  let doorClosed: Promise<void> | undefined;
  const server = await open(serving, listener, {
    async leave() {
      doorClosed = door?.close();
      await registration?.leave();
    },
    async close() {
      await doorClosed;
      await options.close?.();
      serving.close();
    },
  });
  registration = serving.register(server.port);
  await registration.registered(REGISTER_WAIT_MS);
  return server;
}

interface Listener {
  readonly listen: MeshConfig["listen"];
  readonly services: readonly Implementation[];
  readonly door: Door;
}

function open(
  serving: Serving,
  listener: Listener,
  { leave, close }: Partial<Pick<StartOptions, "leave" | "close">> = {},
): Promise<RunningServer> {
  const { parts, member, users, calls, stats } = serving;
  const { log, limits } = parts;
  const { listen, services, door } = listener;
  const { streamsPerClient } = limits;
  const admission = { calls, streams: sharedCeiling(limits.streams) };
  const peers = createPeers(door, log);
  const refusals = createRefusalLog(log);
  return startServer({
    ...listen,
    credentials: new WorkloadServerCredentials(member, door),
    services,
    door,
    limits,
    parts: { log, peers, users, admission, streamsPerClient, stats, refusals, running: new Set() },
    descriptors: parts.descriptors,
    shutdownBounds: parts.shutdownBounds,
    leave: async () => leave?.(),
    close: async () => close?.(),
  });
}
