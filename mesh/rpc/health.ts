import { type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from "@grpc/grpc-js";
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "#gen/grpc/health/v1/health.ts";
import { workloadOf } from "#mesh/identity/spiffe.ts";
import type { ServicePair } from "./reflection.ts";

/** The health of one server, as `grpc.health.v1` tells it. */
export interface Health {
  /** For `grpc.Server.addService`. */
  readonly service: ServicePair;
  /** Sets one service, `""` being the server as a whole, or all at once when none is named. Unknown names are ignored. */
  setServing(serving: boolean, name?: string): void;
  /** Tells all watchers NOT_SERVING and ends them, so that a server can shut down; further ones are refused. */
  close(): void;
}

export const healthServiceName = "grpc.health.v1.Health";

/** Each watcher holds a stream open for as long as it likes; a process has a handful, so this many are a defect or an attack. */
const MAX_WATCHERS = 1_000;
/** Of them, those of one workload: the gateway tells by its own whether the shop is open, and must find room. */
const MAX_WATCHERS_PER_WORKLOAD = 250;
/** No service has a longer name; a watch keeps the name that it was asked for. */
const MAX_NAME_CHARS = 500;

type WatchStream = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/**
 * Health of a server: `Check` and `Watch` for `""` (the whole) and each of `services`, all NOT_SERVING until set.
 * `Check` of another name is NOT_FOUND; `Watch` of it answers SERVICE_UNKNOWN and stays open, as the protocol wants.
 */
export function createHealth(services: readonly string[], options: { readonly maxWatchers?: number } = {}): Health {
  const maxWatchers = options.maxWatchers ?? MAX_WATCHERS;
  const states = new Map<string, ServingStatus>(["", ...services].map((name) => [name, ServingStatus.NOT_SERVING]));
  const watchers = new Map<string, Set<Watcher>>();
  const shares = new Map<string, number>();
  let watching = 0;
  let closed = false;

  const set = (name: string, state: ServingStatus): void => {
    if (!states.has(name) || states.get(name) === state) return;
    states.set(name, state);
    for (const watcher of watchers.get(name) ?? []) watcher.tell(state);
  };

  const watch = (call: WatchStream): void => {
    const name = call.request.service;
    const workload = workloadOf(call.getAuthContext().sslPeerCertificate ?? {});
    const share = workload === undefined ? 0 : (shares.get(workload) ?? 0);
    if (closed || watching >= maxWatchers || share >= MAX_WATCHERS_PER_WORKLOAD || name.length > MAX_NAME_CHARS) {
      const refusal = closed
        ? { code: status.UNAVAILABLE, details: "the server is shutting down" }
        : name.length > MAX_NAME_CHARS
          ? { code: status.INVALID_ARGUMENT, details: "no service has so long a name" }
          : { code: status.RESOURCE_EXHAUSTED, details: "too many watchers already" };
      call.emit("error", refusal);
      return;
    }
    if (workload !== undefined) shares.set(workload, share + 1);
    const watcher = createWatcher(call);
    const ofName = watchers.get(name) ?? new Set();
    watchers.set(name, ofName.add(watcher));
    watching += 1;
    call.once("cancelled", () => {
      if (!ofName.delete(watcher)) return;
      watching -= 1;
      if (workload !== undefined) shares.set(workload, (shares.get(workload) ?? 1) - 1);
      // Names come from outside: an empty set for each would be a leak.
      if (ofName.size === 0) watchers.delete(name);
    });
    watcher.tell(states.get(name) ?? ServingStatus.SERVICE_UNKNOWN);
  };

  return {
    service: { definition: HealthService, implementation: { check: checkHandler(states), watch } },
    setServing(serving, name) {
      if (closed) return;
      const state = serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
      for (const one of name === undefined ? states.keys() : [name]) set(one, state);
    },
    close() {
      if (closed) return;
      for (const name of states.keys()) set(name, ServingStatus.NOT_SERVING);
      closed = true;
      for (const ofName of watchers.values()) for (const watcher of ofName) watcher.end();
      watchers.clear();
      watching = 0;
    },
  };
}

type CheckHandler = (
  call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
  done: sendUnaryData<HealthCheckResponse>,
) => void;

function checkHandler(states: ReadonlyMap<string, ServingStatus>): CheckHandler {
  return (call, done) => {
    const state = states.get(call.request.service);
    if (state === undefined) done({ code: status.NOT_FOUND, details: "no such service here" });
    else done(null, { status: state });
  };
}

interface Watcher {
  tell(state: ServingStatus): void;
  end(): void;
}

/** Writes each change; while the reader is behind, only the last state is kept, so a reader that stops costs nothing. */
function createWatcher(call: WatchStream): Watcher {
  let behind = false;
  let pending: ServingStatus | undefined;
  const tell = (state: ServingStatus): void => {
    if (behind) {
      pending = state;
      return;
    }
    behind = !call.write({ status: state });
    if (behind) call.once("drain", caughtUp);
  };
  const caughtUp = (): void => {
    behind = false;
    const state = pending;
    pending = undefined;
    if (state !== undefined) tell(state);
  };
  const end = (): void => {
    call.emit("error", { code: status.UNAVAILABLE, details: "the server is shutting down" });
  };
  return { tell, end };
}
