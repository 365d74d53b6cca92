import {
  Server,
  type ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerOptions,
} from "@grpc/grpc-js";
import type { Implementation } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Route, ServerParts } from "#mesh/rpc/call-state.ts";
import type { CallStats } from "#mesh/rpc/call-stats.ts";
import { boundConnections } from "#mesh/rpc/connections.ts";
import type { Door } from "#mesh/rpc/credentials.ts";
import { createHealth, healthServiceName } from "#mesh/rpc/health.ts";
import {
  type ListenerLimits,
  MAX_MESSAGE_BYTES,
  MAX_SESSION_MEMORY_MB,
  MAX_STREAMS_PER_CONNECTION,
} from "#mesh/rpc/limits.ts";
import { type Method, methodsOf } from "#mesh/rpc/method.ts";
import { reflectionServiceNames, reflectionServices } from "#mesh/rpc/reflection.ts";
import { TakenOverCall } from "#mesh/rpc/server-call.ts";
import { startCall } from "#mesh/rpc/server-pipeline.ts";
import { type ShutdownBounds, shutDown } from "#mesh/rpc/server-shutdown.ts";
import { shedWhenFull } from "#mesh/rpc/shed.ts";
import { encodeFailure } from "#mesh/rpc/status.ts";
import { createUsualTime } from "#mesh/rpc/usual-time.ts";
import { createRequestReaders } from "#mesh/rpc/validation.ts";

export interface StartOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly credentials: ServerCredentials;
  /** To whom it listens. Workloads are served health and reflection too. */
  readonly door: Door;
  readonly limits: ListenerLimits;
  readonly services: readonly Implementation[];
  readonly parts: ServerParts;
  readonly descriptors: () => Uint8Array;
  readonly shutdownBounds: ShutdownBounds;
  /** Has callers turn away, before the server refuses them. Bounded. */
  readonly leave: () => Promise<void>;
  /** Releases what the handlers used, after the last call has ended. */
  readonly close: () => Promise<void>;
}

export interface RunningServer {
  readonly host: string;
  readonly port: number;
  /** Stops new calls, finishes the running ones within a bound, and releases everything. Idempotent. */
  close(): Promise<void>;
}

/** What grpc-js leaves open by default, bounded. */
export const grpcOptions: ServerOptions = {
  "grpc.enable_channelz": 0,
  "grpc.max_concurrent_streams": MAX_STREAMS_PER_CONNECTION,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc-node.max_session_memory": MAX_SESSION_MEMORY_MB,
  // Silent connections are closed.
  "grpc.max_connection_idle_ms": 5 * 60_000,
  "grpc.max_connection_age_grace_ms": 10 * 60_000,
};

type Start = (wire: ServerInterceptingCallInterface) => void;

/** Listens and serves. Rejects when the address cannot be listened on, or when two implementations share a path. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { host, services, parts } = options;
  const names = services.map(({ contract }) => contract.name);
  const starts = new Map<string, Start>();
  const routes = new Map<string, Route>();
  const exemptPaths = new Set<string>();
  const server = new Server({
    ...grpcOptions,
    "grpc.max_connection_age_ms": options.limits.connectionAgeMs,
    "grpc.keepalive_time_ms": options.limits.keepalive.timeMs,
    "grpc.keepalive_timeout_ms": options.limits.keepalive.timeoutMs,
    interceptors: [
      ({ path }, wire) => {
        const start = starts.get(path);
        if (start !== undefined) return new TakenOverCall(wire, start);
        return exemptPaths.has(path)
          ? new ServerInterceptingCall(wire)
          : new TakenOverCall(wire, refuseUnknown(path, parts.stats));
      },
    ],
  });
  const health = createHealth(names);
  const reflected = [...names, healthServiceName, ...reflectionServiceNames];
  const reflection = reflectionServices({ descriptors: options.descriptors, services: reflected });
  for (const { definition, implementation } of options.door === "workloads" ? [health.service, ...reflection] : []) {
    server.addService(definition, implementation);
    for (const { path } of Object.values(definition)) exemptPaths.add(path);
  }
  for (const route of routesOf(options)) {
    const { path } = route.method.info;
    routes.set(path, route);
    starts.set(path, (wire) => startCall(route, wire));
    register(server, route.method);
  }
  letUnknownPathsThrough(server);
  const port = await listen(server, options);
  parts.peers.watch(server);
  shedWhenFull(server, routes);
  boundConnections(server, { most: options.limits.connections, door: options.door }, parts.log);
  health.setServing(true);
  parts.log.info({ host, port, services: names }, "serving");
  let closing: Promise<void> | undefined;
  return {
    host,
    port,
    close() {
      const { shutdownBounds: bounds, leave, close: release } = options;
      const { running, log } = parts;
      closing ??= shutDown({ server, health, running, bounds, log, leave, close: release });
      return closing;
    },
  };
}

function* routesOf({ services, parts, descriptors }: StartOptions): Iterable<Route> {
  const readers = createRequestReaders(descriptors);
  for (const { contract, handlers } of services) {
    for (const [key, method] of methodsOf(contract)) {
      const handler = handlers[key];
      if (handler === undefined) throw new TypeError(`${method.info.path} has no handler`);
      const log = parts.log.child({ service: method.info.service, method: method.info.name });
      yield { parts, method, log, handler, read: readers(method), usual: createUsualTime() };
    }
  }
}

/** Makes a path known to grpc-js. Its own handler is never reached: the interceptor takes the call over as bytes. */
function register(server: Server, { info, requestStream, responseStream }: Method): void {
  const type = requestStream ? (responseStream ? "bidi" : "clientStream") : responseStream ? "serverStream" : "unary";
  if (!server.register(info.path, unreachable, passBytes, passBytes, type)) {
    throw new TypeError(`${info.path} is implemented twice`);
  }
}

const passBytes = (bytes: Buffer): Buffer => bytes;
const unreachable = (): never => {
  throw new Error("calls are taken over before they reach the handlers of grpc-js");
};

/**
 * grpc-js answers unknown paths with a bare status, before any interceptor. It looks paths up through a method of its
 * own; a look-up that always finds something lets these calls through to the interceptor, which refuses them with an
 * `ErrorInfo` as every failure has. If a later grpc-js looks elsewhere, the bare status is back, and a test says so.
 */
function letUnknownPathsThrough(server: Server): void {
  // biome-ignore lint/complexity/useLiteralKeys: brackets are how TypeScript lets a private member be read
  const lookUp = server["_retrieveHandler"].bind(server);
  const anything = { func: unreachable, serialize: passBytes, deserialize: passBytes, type: "unary" };
  Object.defineProperty(server, "_retrieveHandler", {
    // CONNECT has no path.
    value: (path = "") => lookUp(path) ?? { ...anything, path },
  });
}

function refuseUnknown(path: string, stats: CallStats): Start {
  const [, service = "", method = ""] = path.slice(0, MAX_SHOWN_PATH_CHARS).split("/");
  const failure = meshFailure("METHOD_UNKNOWN", `there is no method ${method} of a service ${service} here`);
  return (wire) => {
    stats.begin();
    wire.sendStatus(encodeFailure(failure, service));
    stats.end(failure);
  };
}

/** Long enough for any method there is; a path of some other length is not echoed whole. */
const MAX_SHOWN_PATH_CHARS = 200;

function listen(server: Server, { host, port, credentials }: StartOptions): Promise<number> {
  const address = `${host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, boundPort) => {
      if (error === null) resolve(boundPort);
      else reject(new Error(`cannot listen on ${address}: ${error.message}`));
    });
  });
}
