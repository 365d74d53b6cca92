import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";
import type { RpcError } from "#mesh/contract/errors.ts";
import { placesOf } from "#mesh/rpc/admission.ts";
import { newState, type Route } from "#mesh/rpc/call-state.ts";
import { intercept, listenersOf } from "#mesh/rpc/listeners.ts";
import { logLine } from "#mesh/rpc/server-log.ts";
import { failureTrailers, NO_ROOM, overloaded } from "#mesh/rpc/status.ts";
import { newSpan, TRACEPARENT_KEY } from "#mesh/rpc/trace.ts";

/**
 * Has a server that listens refuse the calls that would find no room by their headers, before grpc-js makes anything of
 * them: a process that has too much to do must lose as little as it can over refusing, and this costs less than half of
 * what it costs further in. Nothing is looked at but who calls, by the connection, and what. Calls that are answered by
 * a stream have places of their own, and pass.
 */
export function shedWhenFull(server: Server, routes: ReadonlyMap<string, Route>): void {
  for (const listener of listenersOf(server)) {
    intercept(listener, "stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      const route = routes.get(headers[":path"] ?? "");
      if (route === undefined || route.method.responseStream) return true;
      const { admission, peers } = route.parts;
      const caller = stream.session && peers.workloadOf(stream.session);
      if (caller === undefined || placesOf(caller, admission.calls).hasRoom()) return true;
      refuse(stream, headers, route, caller);
      return false;
    });
  }
}

function refuse(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, route: Route, caller: string): void {
  const { method, parts } = route;
  const failure = overloaded(NO_ROOM, method.info.service);
  parts.stats.begin();
  stream.on("error", ignore); // it is over, and nothing is left to be done about it
  // The request is not read: Node then tells a caller that still sends it to stop.
  if (!stream.destroyed && !stream.closed) stream.respond(answerOf(failure), { endStream: true });
  parts.stats.end(failure);
  if (!parts.refusals.count()) return;
  const trace = newSpan(headers[TRACEPARENT_KEY]?.toString());
  logLine({ ...newState(route), caller, trace }, { failure });
}

const answers = new WeakMap<RpcError, OutgoingHttpHeaders>();

/** One header block, "trailers only". There are few different ones. */
function answerOf(failure: RpcError): OutgoingHttpHeaders {
  let answer = answers.get(failure);
  if (answer === undefined) {
    answer = { ":status": 200, "content-type": "application/grpc+proto", ...failureTrailers(failure, "") };
    answers.set(failure, answer);
  }
  return answer;
}

const ignore = (): void => {};
