import { constants, type ServerHttp2Stream } from "node:http2";
import type { Logger } from "pino";
import type { RpcError } from "#mesh/contract/errors.ts";
import { CLIENT_ADDRESS_KEY } from "#mesh/rpc/call.ts";
import type { CallStats } from "#mesh/rpc/call-stats.ts";
import { createRetryBudgets } from "#mesh/rpc/retry-rules.ts";
import { overloaded } from "#mesh/rpc/status.ts";
import type { Targets } from "#mesh/rpc/targets.ts";
import { formatTraceparent, newSpan, TRACEPARENT_KEY } from "#mesh/rpc/trace.ts";
import { answerFailure, gatewayFailure } from "./answers.ts";
import type { Backends } from "./backends.ts";
import { countCall, logCall, type Outcome } from "./call-log.ts";
import type { Arrival } from "./connection.ts";
import type { GatewayLimits } from "./limits.ts";
import { PassThrough } from "./pass-through.ts";
import { refuseNonGrpc } from "./refuse.ts";
import { LOCAL_OWNER, type Route, type Routes, serviceOf } from "./routes.ts";
import type { Shares } from "./shares.ts";

/** Takes what callers ask, and sends it where it goes. */
export interface Router {
  accept(arrival: Arrival): void;
  /** Fails all running calls with SERVICE_UNAVAILABLE. */
  stopCalls(): void;
}

export interface RouterOptions {
  readonly routes: Routes;
  readonly backends: Backends;
  /** The places for calls; each takes one. */
  readonly places: Shares;
  readonly targets: Targets;
  readonly stats: CallStats;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** The workload that services see calling; by it their policies know that an end user stands behind a call. */
const WORKLOAD = "gateway";

/** The name of a service that isn't here comes from outside and may be as long as a header. */
const MAX_NAME_CHARS = 200;

export function createRouter({ routes, backends, places, targets, stats, limits, log }: RouterOptions): Router {
  const budgets = createRetryBudgets();
  const calls = new Set<PassThrough>();

  const pass = ({ stream, received, endStream, connection }: Arrival, path: string, route: Route): void => {
    stats.begin();
    const giveBack = places.take(connection.peer);
    if (giveBack === undefined) {
      stats.end(shed(stream, route));
      return;
    }
    const given = received.parsed[TRACEPARENT_KEY];
    const trace = newSpan(typeof given === "string" ? given : undefined);
    const added: Record<string, string> = { [CLIENT_ADDRESS_KEY]: connection.peer };
    // A trace that the caller began goes on untouched; only a missing or malformed one is replaced.
    if (!given?.includes(trace.traceId)) added[TRACEPARENT_KEY] = formatTraceparent(trace);
    const startedAtMs = performance.now();
    const leave = connection.enter();
    const onEnd = (outcome: Outcome): void => {
      calls.delete(call);
      leave();
      giveBack();
      if (outcome.cancelled) connection.noteReset();
      countCall(stats, outcome);
      const durationMs = performance.now() - startedAtMs;
      logCall(log, { path, route, peer: connection.peer, traceId: trace.traceId, durationMs, outcome });
    };
    const injected = route.owner === LOCAL_OWNER ? undefined : targets.faultsOf(route.owner, path);
    if (injected !== undefined) log.info({ path, ...injected, traceId: trace.traceId }, "fault injected");
    const budget = budgets.of(route.owner);
    const joined = { stream, received, endStream, path, route, added, backends, injected, budget, limits, onEnd };
    const call = new PassThrough(joined);
    calls.add(call);
    call.start();
  };

  return {
    accept(arrival) {
      const { stream, received, connection } = arrival;
      if (refuseNonGrpc(stream, received.parsed)) {
        connection.noteRefusal();
        return;
      }
      const path = String(received.parsed[constants.HTTP2_HEADER_PATH]);
      const route = routes.find(path);
      if (route === undefined) {
        const service = (serviceOf(path) || WORKLOAD).slice(0, MAX_NAME_CHARS);
        const message = `no public service has the method ${path.slice(0, MAX_NAME_CHARS)}`;
        answerFailure(stream, gatewayFailure("METHOD_UNKNOWN", service, message), service);
        connection.noteRefusal();
      } else {
        pass(arrival, path, route);
      }
    },
    stopCalls() {
      for (const call of calls) call.stop();
    },
  };
}

/** Tells a call to come again: the gateway passes as many as it may, in all or for the caller's address. */
function shed(stream: ServerHttp2Stream, { service }: Route): RpcError {
  const failure = overloaded("the gateway passes too many calls", service);
  answerFailure(stream, failure, service);
  return failure;
}
