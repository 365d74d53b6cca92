import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import type { Logger } from "pino";
import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import type { RpcError } from "#mesh/contract/errors.ts";
import type { Cluster, Endpoint, EndpointSource } from "#mesh/discovery/endpoints.ts";
import { chooseVersion } from "#mesh/discovery/route-rules.ts";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import { connectionOptions, contextOf } from "#mesh/identity/tls.ts";
import { random } from "#mesh/random.ts";
import { overloaded } from "#mesh/rpc/status.ts";
import { gatewayFailure } from "./answers.ts";
import { type Backend, createBackend } from "./backend.ts";
import { createDialQueue, type DialQueue } from "./dial-queue.ts";
import type { GatewayLimits } from "./limits.ts";
import { createRotation, type Place, type Rotation } from "./rotation.ts";
import { LOCAL_OWNER } from "./routes.ts";

/** The instances of all services, and the connections to them. */
export interface Backends {
  /**
   * Gives `use` a place for a call: at once when one is ready, else when the promise resolves. `use` opens its stream in
   * the same turn: what is asked for next sees that place taken. Instances take turns, those of the call's version if
   * one of them is ready. Throws or rejects with SERVICE_UNAVAILABLE when none can be reached, with OVERLOADED when all
   * are full.
   */
  withSession(wanted: Wanted, use: (place: Place) => void): void | Promise<void>;
  /** Resolves when it is known where each of these is, or that it is nowhere; at the latest after `timeoutMs`. */
  known(owners: readonly string[], timeoutMs: number): Promise<void>;
  /** The instances of `owner` now. */
  of(owner: string): readonly Backend[];
  /** Ends all connections; running calls fail. */
  close(): void;
}

/** What a call asks of the instance that takes it. */
export interface Wanted {
  readonly owner: string;
  readonly service: string;
  /** The first value of one of its headers, by which a version can be chosen. */
  readonly header: (name: string) => string | undefined;
  /** The instance that failed it before. */
  readonly avoid: Backend | undefined;
}

export interface BackendsOptions {
  readonly endpoints: EndpointSource;
  /** Whom the gateway proves to be to them. */
  readonly certificates: CertificateSource;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Opens a connection to what the gateway process answers itself. */
  readonly openLocal: () => Duplex;
}

export function createBackends({ endpoints, certificates, limits, log, openLocal }: BackendsOptions): Backends {
  const groups = new Map<string, Group>();
  const unwatch: (() => void)[] = [];
  let closed = false;

  /** The instances of an owner; those that were there before keep their connections. */
  const replace = (owner: string, group: Group, { endpoints: now, split }: Cluster): void => {
    const before = new Map(group.all.backends.map((backend) => [backend.address, backend]));
    const wanted = new Map(now.map((endpoint) => [formatAddress(endpoint), endpoint]));
    const versions = new Map<string, Backend[]>();
    const backends = [...wanted].map(([address, endpoint]) => {
      const { version } = endpoint;
      const openSocket = (): Duplex => openSecured(endpoint, owner, certificates);
      const backend =
        before.get(address) ?? createBackend({ owner, address, openSocket, dials: group.dials, limits, log });
      if (version !== undefined) versions.set(version, [...(versions.get(version) ?? []), backend]);
      return backend;
    });
    group.all = createRotation(backends);
    group.byVersion = new Map([...versions].map(([version, some]) => [version, createRotation(some)]));
    group.split = split;
    group.versions = new Set(versions.keys());
    group.tellKnown();
    for (const [address, backend] of before) if (!wanted.has(address)) backend.retire();
  };
  const groupOf = (owner: string): Group => {
    const known = groups.get(owner);
    if (known !== undefined) return known;
    const group = emptyGroup(createDialQueue(limits));
    groups.set(owner, group);
    if (owner === LOCAL_OWNER) {
      const address = "gateway.local:0"; // for its :authority only
      group.all = createRotation([
        createBackend({ owner, address, openSocket: openLocal, dials: group.dials, limits, log }),
      ]);
    } else {
      unwatch.push(endpoints.watch(owner, (now) => replace(owner, group, now)));
    }
    return group;
  };

  return {
    withSession(wanted, use) {
      const group = groupOf(wanted.owner);
      const ready = closed ? undefined : takeTurn(group, wanted);
      return ready === undefined ? connectAny(group, { wanted, use, closed, limits }) : use(ready);
    },
    async known(owners, timeoutMs) {
      await within(timeoutMs, Promise.all(owners.map((owner) => groupOf(owner).known)));
    },
    of: (owner) => groupOf(owner).all.backends,
    close() {
      closed = true;
      for (const end of unwatch) end();
      for (const { all } of groups.values()) for (const backend of all.backends) backend.destroy();
    },
  };
}

/** Begins a connection to an instance of `owner`, under the certificates of now. It fails when the peer is another. */
function openSecured(endpoint: Endpoint, owner: string, certificates: CertificateSource): Duplex {
  const now = certificates.current();
  if (now === undefined) throw new Error("the gateway has no certificate yet");
  const { host, port } = endpoint;
  const socket = connect({ ...connectionOptions(contextOf(now), owner), host, port });
  return socket.setNoDelay(true).setKeepAlive(true);
}

/** The instances of one service, and how calls are split between their versions. */
interface Group {
  all: Rotation;
  byVersion: ReadonlyMap<string, Rotation>;
  split: TrafficSplit | undefined;
  versions: ReadonlySet<string>;
  readonly dials: DialQueue;
  /** Resolves when its instances were told for the first time. */
  readonly known: Promise<void>;
  readonly tellKnown: () => void;
}

function emptyGroup(dials: DialQueue): Group {
  let tellKnown = (): void => undefined;
  const known = new Promise<void>((resolve) => {
    tellKnown = resolve;
  });
  return {
    all: createRotation([]),
    byVersion: new Map(),
    split: undefined,
    versions: new Set(),
    dials,
    known,
    tellKnown,
  };
}

function formatAddress({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The next place for a call: of the version it goes to, and when that has nobody ready, of any. */
function takeTurn({ all, byVersion, split, versions }: Group, { header, avoid }: Wanted): Place | undefined {
  const version = split && chooseVersion(split, versions, { header, random: random() });
  const chosen = version === undefined ? undefined : byVersion.get(version)?.next(avoid);
  return chosen === undefined || chosen.backend === avoid ? all.next(avoid) : chosen;
}

interface Waiting {
  readonly wanted: Wanted;
  readonly use: (place: Place) => void;
  readonly closed: boolean;
  readonly limits: GatewayLimits;
}

async function connectAny(group: Group, { wanted, use, closed, limits }: Waiting): Promise<void> {
  const { service, owner } = wanted;
  if (closed) throw unavailable(service, owner, "the gateway is shutting down");
  if (group.all.backends.length === 0) throw unavailable(service, owner, "no instance of it is known");
  // Those who waited for the same connection may have filled it, and need another.
  for (let tries = 0; tries < limits.sessionsPerAddress; tries++) {
    const growing = group.all.backends.filter((backend) => !backend.isFull());
    if (growing.length === 0) break;
    let inTime = false;
    try {
      inTime = await within(limits.connectWaitMs, Promise.any(growing.map((backend) => backend.connect())));
    } catch (error) {
      throw unavailable(service, owner, causeOf(error));
    }
    if (!inTime) throw unavailable(service, owner, "no connection to it could be set up in time");
    const ready = takeTurn(group, wanted);
    // Not returned: by the time an awaiting caller ran, all who waited would have seen the same free place.
    if (ready !== undefined) return use(ready);
  }
  throw overloaded(`${owner} has as many calls as it takes`, service);
}

/** Whether `promise` resolved within so long; rejects when it does so before. */
async function within(timeoutMs: number, promise: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const timeout = delay(timeoutMs, false, { signal: timer.signal }).catch(() => false);
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    timer.abort();
  }
}

/** The failure of a call for which no backend could be reached. */
export function unavailable(service: string, owner: string, cause: string): RpcError {
  const message = `${service} cannot be reached: ${cause} (is the service "${owner}" running?)`;
  return gatewayFailure("SERVICE_UNAVAILABLE", service, message, { metadata: { service } });
}

/** One cause for a person; which of several instances failed how stands in the log. Never an address: callers are strangers. */
function causeOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const code: unknown = first instanceof Error ? Reflect.get(first, "code") : undefined;
  return code === "ECONNREFUSED" ? "nothing listens at its address" : "no connection to it could be set up";
}
