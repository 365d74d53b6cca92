import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { RpcError } from "#mesh/contract/errors.ts";
import type { Endpoint, EndpointSource } from "#mesh/discovery/endpoints.ts";
import { gatewayFailure } from "./answers.ts";
import { type Backend, createBackend } from "./backend.ts";
import type { BackendSession } from "./backend-session.ts";
import type { GatewayLimits } from "./limits.ts";
import { LOCAL_OWNER } from "./routes.ts";

/** The instances of all services, and the connections to them. */
export interface Backends {
  /**
   * Gives `use` a session for a call to `service` of `owner`: at once when one is ready, else when the promise resolves.
   * `use` opens its stream in the same turn: what is asked for next sees that place taken. Instances take turns. Throws
   * or rejects with SERVICE_UNAVAILABLE when none can be reached, with OVERLOADED when all are full.
   */
  withSession(owner: string, service: string, use: (session: BackendSession) => void): void | Promise<void>;
  /** The instances of `owner` now. */
  of(owner: string): readonly Backend[];
  /** Ends all connections; running calls fail. */
  close(): void;
}

export interface BackendsOptions {
  readonly endpoints: EndpointSource;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Opens a connection to what the gateway process answers itself. */
  readonly openLocal: () => Duplex;
}

export function createBackends({ endpoints, limits, log, openLocal }: BackendsOptions): Backends {
  const groups = new Map<string, Group>();
  const unwatch: (() => void)[] = [];
  let closed = false;

  /** The instances of an owner; those that were there before keep their connections. */
  const replace = (owner: string, group: Group, now: readonly Endpoint[]): void => {
    const before = new Map(group.backends.map((backend) => [backend.address, backend]));
    const wanted = new Map(now.map((endpoint) => [formatAddress(endpoint), endpoint]));
    group.backends = [...wanted].map(([address, endpoint]) => {
      const openSocket = (): Duplex => connectTcp({ ...endpoint, noDelay: true, keepAlive: true });
      return before.get(address) ?? createBackend({ owner, address, openSocket, limits, log });
    });
    for (const [address, backend] of before) if (!wanted.has(address)) backend.retire();
  };
  const groupOf = (owner: string): Group => {
    const known = groups.get(owner);
    if (known !== undefined) return known;
    const group: Group = { backends: [], turn: 0 };
    groups.set(owner, group);
    if (owner === LOCAL_OWNER) {
      const address = "gateway.local:0"; // for its :authority only
      group.backends = [createBackend({ owner, address, openSocket: openLocal, limits, log })];
    } else {
      unwatch.push(endpoints.watch(owner, ({ endpoints: now }) => replace(owner, group, now)));
    }
    return group;
  };

  return {
    withSession(owner, service, use) {
      const group = groupOf(owner);
      const ready = closed ? undefined : takeTurn(group);
      return ready === undefined ? connectAny(group, { owner, service, use, closed, limits }) : use(ready);
    },
    of: (owner) => groupOf(owner).backends,
    close() {
      closed = true;
      for (const end of unwatch) end();
      for (const { backends } of groups.values()) for (const backend of backends) backend.destroy();
    },
  };
}

interface Group {
  backends: readonly Backend[];
  /** The place of the instance whose turn was last. */
  turn: number;
}

function formatAddress({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

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
  readonly use: (session: BackendSession) => void;
  readonly closed: boolean;
  readonly limits: GatewayLimits;
}

async function connectAny(group: Group, { owner, service, use, closed, limits }: Wanted): Promise<void> {
  if (closed) throw unavailable(service, owner, "the gateway is shutting down");
  if (group.backends.length === 0) throw unavailable(service, owner, "no instance of it is known");
  // Those who waited for the same connection may have filled it, and need another.
  for (let tries = 0; tries < limits.sessionsPerAddress; tries++) {
    const growing = group.backends.filter((backend) => !backend.isFull());
    if (growing.length === 0) break;
    try {
      await Promise.any(growing.map((backend) => backend.connect()));
    } catch (error) {
      throw unavailable(service, owner, causeOf(error));
    }
    const ready = takeTurn(group);
    // Not returned: by the time an awaiting caller ran, all who waited would have seen the same free place.
    if (ready !== undefined) return use(ready);
  }
  const options = { retryDelayMs: limits.overloadRetryMs };
  throw gatewayFailure("OVERLOADED", service, `${owner} has as many calls as it takes`, options);
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
