import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { answerText } from "./answers.ts";

const GRPC = "application/grpc";

const HINT = "this is a gRPC server; list its services with: grpcurl -plaintext HOST:PORT list";

/** Answers a request that isn't a gRPC call with one line of text; false, and nothing done, when it is one. */
export function refuseNonGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const method = headers[constants.HTTP2_HEADER_METHOD];
  const contentType = headers["content-type"] ?? "";
  if (method !== "POST") {
    const allow = { allow: "POST" };
    // An answer to HEAD has no body, and Node has ended the stream already.
    if (method === "HEAD") stream.respond({ ":status": 405, ...allow }, { endStream: true });
    else answerText(stream, 405, HINT, allow);
    return true;
  }
  if (isGrpc(contentType)) return false;
  answerText(stream, 415, `content-type must be ${GRPC}: ${HINT}`);
  return true;
}

/** `application/grpc`, alone or with a subtype (`+proto`) or a parameter; not `application/grpc-web`. */
function isGrpc(contentType: string): boolean {
  if (!contentType.startsWith(GRPC)) return false;
  const next = contentType.charAt(GRPC.length);
  return next === "" || next === "+" || next === ";";
}
