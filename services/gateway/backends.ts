import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { RpcError } from "#mesh/contract/errors.ts";
import { gatewayFailure } from "./answers.ts";
import { type Backend, createBackend } from "./backend.ts";
import type { BackendSession } from "./backend-session.ts";
import type { GatewayLimits } from "./limits.ts";
import { LOCAL_OWNER } from "./routes.ts";

/** Where the instances of each service are. A discovery stream can stand behind it. */
export interface Targets {
  /** The instances of `owner` as `host:port`. The same array as before while nothing changed: it is asked for each call. */
  addresses(owner: string): readonly string[];
}

/** Targets that never change. */
export function staticTargets(targets: Readonly<Record<string, readonly string[]>>): Targets {
  const byOwner = new Map(Object.entries(targets));
  return { addresses: (owner) => byOwner.get(owner) ?? NONE };
}

const NONE: readonly string[] = [];

/** The instances of all services, and the connections to them. */
export interface Backends {
  /**
   * A session for a call to `service` of `owner`: at once when one is ready, else a promise of one. Instances take
   * turns. Throws or rejects with SERVICE_UNAVAILABLE when none can be reached, with OVERLOADED when all are full.
   */
  session(owner: string, service: string): BackendSession | Promise<BackendSession>;
  /** The instances of `owner` now. */
  of(owner: string): readonly Backend[];
  /** Ends all connections; running calls fail. */
  close(): void;
}

export interface BackendsOptions {
  readonly targets: Targets;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Opens a connection to what the gateway process answers itself. */
  readonly openLocal: () => Duplex;
}

export function createBackends(options: BackendsOptions): Backends {
  const { targets, limits, log } = options;
  const groups = new Map<string, Group>();
  let closed = false;

  const groupOf = (owner: string): Group => {
    const addresses = owner === LOCAL_OWNER ? LOCAL_ADDRESSES : targets.addresses(owner);
    const group = groups.get(owner);
    if (group !== undefined && group.addresses === addresses) return group;
    const kept = new Map(group?.backends.map((backend) => [backend.address, backend]));
    const backends = [...new Set(addresses)].map((address) => {
      const openSocket = owner === LOCAL_OWNER ? options.openLocal : () => openTcp(address);
      return kept.get(address) ?? createBackend({ owner, address, openSocket, limits, log });
    });
    const next: Group = { addresses, backends, turn: group?.turn ?? 0 };
    groups.set(owner, next);
    for (const backend of kept.values()) if (!backends.includes(backend)) backend.retire();
    return next;
  };

  return {
    session(owner, service) {
      const group = groupOf(owner);
      const ready = closed ? undefined : takeTurn(group);
      return ready ?? connectAny(group, { owner, service, closed, retryDelayMs: limits.overloadRetryMs });
    },
    of: (owner) => groupOf(owner).backends,
    close() {
      closed = true;
      for (const { backends } of groups.values()) for (const backend of backends) backend.destroy();
    },
  };
}

interface Group {
  /** What `backends` was made from. */
  readonly addresses: readonly string[];
  readonly backends: readonly Backend[];
  /** Whose turn it is: a count, not an index, so that a change of addresses needs no care. */
  turn: number;
}

const LOCAL_ADDRESSES: readonly string[] = ["gateway.local:0"];

/** The next ready session in turn. Instances that are not connected are dialled meanwhile, without waiting. */
function takeTurn(group: Group): BackendSession | undefined {
  const { backends } = group;
  for (let i = 0; i < backends.length; i++) {
    group.turn = (group.turn + 1) % backends.length;
    const backend = backends[group.turn];
    const session = backend?.ready();
    if (session !== undefined) return session;
    // Its failure stays with the backend, and is told when nothing else is left.
    if (backend !== undefined && !backend.isFull() && backends.length > 1) backend.connect().catch(() => undefined);
  }
  return undefined;
}

interface Wanted {
  readonly owner: string;
  readonly service: string;
  readonly closed: boolean;
  readonly retryDelayMs: number;
}

async function connectAny(group: Group, wanted: Wanted): Promise<BackendSession> {
  const { owner, service, closed, retryDelayMs } = wanted;
  if (closed) throw unavailable(service, owner, "the gateway is shutting down");
  if (group.backends.length === 0) throw unavailable(service, owner, "no instance of it is known");
  const growing = group.backends.filter((backend) => !backend.isFull());
  try {
    await Promise.any(growing.map((backend) => backend.connect()));
  } catch (error) {
    if (growing.length > 0) throw unavailable(service, owner, causeOf(error));
  }
  const ready = takeTurn(group);
  if (ready !== undefined) return ready;
  throw gatewayFailure("OVERLOADED", service, `${owner} has as many calls as it takes`, { retryDelayMs });
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

function openTcp(address: string): Duplex {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[|\]$/g, "");
  return connectTcp({ host, port: Number(address.slice(colon + 1)), noDelay: true, keepAlive: true });
}
