import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type MeshReason, meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import { failureTrailers } from "#mesh/rpc/status.ts";

/** Answers a call with nothing but a failure: one header block, as gRPC's "trailers only". */
export function answerFailure(stream: ServerHttp2Stream, failure: RpcError, service: string): void {
  if (isGone(stream)) return;
  const headers = { ":status": 200, "content-type": "application/grpc", ...failureTrailers(failure, service) };
  stream.respond(headers, { endStream: true });
  discardRequest(stream);
}

/** Answers what isn't a gRPC call, in one line of text. */
export function answerText(
  stream: ServerHttp2Stream,
  status: number,
  text: string,
  headers: OutgoingHttpHeaders = {},
): void {
  if (isGone(stream)) return;
  stream.respond({ ":status": status, "content-type": "text/plain; charset=utf-8", ...headers });
  stream.end(`${text}\n`);
  discardRequest(stream);
}

/** Whether nobody can be answered any more; Node throws at those who try. */
function isGone(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

/** After a full answer, tells a caller that still sends to stop (RFC 9113, section 8.1), and lets the stream end. */
export function discardRequest(stream: ServerHttp2Stream): void {
  stream.resume();
  // Node sends trailers one turn of the loop after they were given; the reset must come after them.
  setImmediate(() => {
    if (!stream.destroyed && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

/** A failure the gateway itself finds; `service` is the one that was called. */
export function gatewayFailure(
  reason: MeshReason,
  service: string,
  message: string,
  options: { readonly retryDelayMs?: number; readonly metadata?: Readonly<Record<string, string>> } = {},
): RpcError {
  return meshFailure(reason, message, { domain: service, ...options });
}
