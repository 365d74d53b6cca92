import { meshReasons } from "#gen/mesh/v1/reasons.ts";
import { meshFailure, RpcError } from "#mesh/contract/errors.ts";
import type { Method } from "#mesh/rpc/method.ts";
import type { Refusal } from "#mesh/rpc/server-call.ts";
import { codeName, deadlineExceeded, reasonOfBareStatus } from "#mesh/rpc/status.ts";
import { randomHex } from "#mesh/rpc/trace.ts";

/** What a caller is told, and what only the log is told. */
export interface Answer {
  readonly failure: RpcError;
  /** The defect behind an INTERNAL failure; it never reaches the wire. */
  readonly defect?: unknown;
}

/**
 * Failures of other services that a handler may let through: they say that the work could not be done now, whoever
 * found out. Any other answer of another service means something only to who asked it, so a handler translates it.
 */
const passedOn: ReadonlySet<string> = new Set(["SERVICE_UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "OVERLOADED"]);

/** Maps what a handler or a layer threw to the answer of the call. */
export function toAnswer(method: Method, error: unknown): Answer {
  if (!(error instanceof RpcError)) return defect(method, error);
  if (error.remote) return passedOn.has(error.reason) ? { failure: error } : defect(method, error);
  return isPromised(method, error) ? { failure: error } : defect(method, error);
}

/** Whether the contract of the method, or the mesh, names this reason with this code. */
function isPromised(method: Method, { reason, code, domain }: RpcError): boolean {
  if (domain === method.info.service || domain === "") {
    if (Object.hasOwn(method.policy.errors, reason)) return method.policy.errors[reason] === code;
  }
  if (reason === "INTERNAL" || !Object.hasOwn(meshReasons, reason)) return false;
  const codes: Readonly<Record<string, string>> = meshReasons;
  return codes[reason] === code;
}

function defect(method: Method, cause: unknown): Answer {
  const correlationId = randomHex(8);
  const failure = meshFailure(
    "INTERNAL",
    `internal error; give the correlation id ${correlationId} when you report it`,
    {
      domain: method.info.service,
      metadata: { correlation_id: correlationId },
    },
  );
  return { failure, defect: cause };
}

/** Maps a status with which grpc-js would end a call by itself. */
export function refusalToAnswer(method: Method, refusal: Refusal): Answer {
  const code = codeName(refusal.code);
  if (code === "DEADLINE_EXCEEDED") return { failure: deadlineExceeded(method.info.service, false) };
  if (reasonOfBareStatus(code, refusal.details) === "MESSAGE_TOO_LARGE") {
    return { failure: meshFailure("MESSAGE_TOO_LARGE", refusal.details) };
  }
  if (isMalformedCall(refusal.details)) return { failure: meshFailure("INVALID_REQUEST", refusal.details) };
  return defect(method, new Error(refusal.details));
}

/** grpc-js has three words for a call that is wrong before its message is read, and gives them the code INTERNAL. */
function isMalformedCall(details: string): boolean {
  return (
    details.startsWith("Invalid grpc-timeout") ||
    details.startsWith("Failed to decompress") ||
    details.includes("unsupported encoding")
  );
}
