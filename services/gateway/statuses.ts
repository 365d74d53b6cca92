import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { status } from "@grpc/grpc-js";
import { PUSHBACK_KEY } from "#mesh/rpc/retry-rules.ts";
import type { BackendSession } from "./backend-session.ts";
import type { Broken } from "./tries.ts";

/** The code in a header block; undefined when there is none. */
export function statusOf(headers: OutgoingHttpHeaders): number | undefined {
  const code = Number(headers["grpc-status"]);
  return Number.isInteger(code) ? code : undefined;
}

/** What an answer that is a status alone says, if it is UNAVAILABLE; undefined for any other answer. */
export function unavailability(headers: IncomingHttpHeaders): Broken | undefined {
  if (headers["grpc-status"] !== String(status.UNAVAILABLE)) return undefined;
  return { refused: false, pushback: headers[PUSHBACK_KEY]?.toString() };
}

/** Whether a stream without an answer ended with its instance, rather than that the instance reset this one call. */
export function isOfInstance(code: number, session: BackendSession): boolean {
  // A process that ends says GOAWAY and resets with this code: no defect of the call, but the end of its callee.
  const dying = !session.isOpen() && code === constants.NGHTTP2_INTERNAL_ERROR;
  return session.isLost() || dying || code === constants.NGHTTP2_REFUSED_STREAM || code === constants.NGHTTP2_NO_ERROR;
}
