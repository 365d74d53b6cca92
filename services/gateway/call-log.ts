import type { Logger } from "pino";
import type { CallStats } from "#mesh/rpc/call-stats.ts";
import { codeName } from "#mesh/rpc/status.ts";
import type { Route } from "./routes.ts";

/** How a call went, for the log and the count. */
export interface Outcome {
  /** The number in `grpc-status`; undefined when there was none. */
  readonly status: number | undefined;
  /** The caller left before there was an answer. */
  readonly cancelled: boolean;
  /** Why, when the gateway itself failed the call. */
  readonly reason: string | undefined;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface LoggedCall {
  readonly path: string;
  readonly route: Route;
  readonly peer: string;
  readonly traceId: string;
  readonly durationMs: number;
  readonly outcome: Outcome;
}

/** The name of a method comes from outside and may be as long as a header. */
const MAX_METHOD_CHARS = 100;

/** Counts a call that ended: as a failure only one of the gateway's own, since services count theirs. */
export function countCall(stats: CallStats, { status, reason }: Outcome): void {
  if (reason === undefined) stats.end();
  else stats.end({ code: codeName(status ?? -1), reason, remote: false });
}

/** The one line of a call. Never holds a header or a message. Failures of services are theirs to complain of. */
export function logCall(log: Pick<Logger, "info" | "warn">, { path, route, outcome, ...call }: LoggedCall): void {
  const { status, cancelled, reason, requestBytes, responseBytes } = outcome;
  const line = {
    service: route.service,
    method: path.slice(route.service.length + 2).slice(0, MAX_METHOD_CHARS),
    code: cancelled ? "CANCELLED" : codeName(status ?? -1),
    reason,
    durationMs: Math.round(call.durationMs * 100) / 100,
    peer: call.peer,
    requestBytes,
    responseBytes,
    traceId: call.traceId,
  };
  if (reason === undefined) log.info(line, "call");
  else log.warn(line, "call");
}
