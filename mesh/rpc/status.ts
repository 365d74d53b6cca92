import type { OutgoingHttpHeaders } from "node:http2";
import { Metadata } from "@grpc/grpc-js";
import type { Any } from "#gen/google/protobuf/any.ts";
import { Code } from "#gen/google/rpc/code.ts";
import { BadRequest, ErrorInfo, RetryInfo } from "#gen/google/rpc/error_details.ts";
import { Status } from "#gen/google/rpc/status.ts";
import { type CodeName, type MeshReason, meshFailure, RpcError, type Violation } from "#mesh/contract/errors.ts";
import { random } from "#mesh/random.ts";
import { OVERLOAD_RETRY_MS } from "#mesh/rpc/limits.ts";
import { PUSHBACK_KEY } from "#mesh/rpc/retry-rules.ts";

/** How a call ends on the wire, in the terms of grpc-js. */
export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

const DETAILS_KEY = "grpc-status-details-bin";
const TYPE_URL_PREFIX = "type.googleapis.com/";

// Trailers travel in one header block, which many peers refuse beyond 8 KiB in all. The message stands in it twice
// (plain and inside the details), so the three limits together stay below that.
const MAX_MESSAGE_CHARS = 512;
const MAX_VIOLATIONS_BYTES = 4_096;
const MAX_VIOLATION_TEXT_CHARS = 512;

const codeNames: readonly (CodeName | undefined)[] = Object.entries(Code).reduce<CodeName[]>((names, [name, code]) => {
  // Holds because the keys of `Code` are the members of `CodeName`.
  names[code] = name as CodeName;
  return names;
}, []);

/** The name of a status code; UNKNOWN for a number that is none. */
export function codeName(code: number): CodeName {
  return codeNames[code] ?? "UNKNOWN";
}

/** Writes a failure as a status: a `google.rpc.Status` with one `ErrorInfo`, and the details that apply. */
export function encodeFailure(failure: RpcError, domain: string): WireStatus {
  const known = refusalsOnWire.get(failure);
  if (known !== undefined) return known;
  const code = Code[failure.code];
  const message = printable(failure.message, MAX_MESSAGE_CHARS);
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, toBuffer(Status.encode({ code, message, details: detailsOf(failure, domain) }).finish()));
  // The client below has spent its tries on this already: a further one from above would multiply them hop by hop.
  if (failure.remote && failure.code === "UNAVAILABLE") metadata.set(PUSHBACK_KEY, "-1");
  return { code, details: message, metadata };
}

/** The same as the trailers of HTTP/2, for what answers without grpc-js. */
export function failureTrailers(failure: RpcError, domain: string): OutgoingHttpHeaders {
  const { code, details, metadata } = encodeFailure(failure, domain);
  return { ...metadata.toHttp2Headers(), "grpc-status": String(code), "grpc-message": percentEncode(details) };
}

/** As gRPC wants `grpc-message`: UTF-8 with all but printable ASCII in percent form. */
function percentEncode(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
}

function detailsOf(failure: RpcError, domain: string): Any[] {
  const info = { reason: failure.reason, domain: failure.domain || domain, metadata: failure.metadata };
  const details = [any("google.rpc.ErrorInfo", ErrorInfo.encode(info).finish())];
  if (failure.violations.length > 0) {
    const fieldViolations = withinLimit(failure.violations);
    details.push(any("google.rpc.BadRequest", BadRequest.encode({ fieldViolations }).finish()));
  }
  if (failure.retryDelayMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.trunc(failure.retryDelayMs / 1_000)),
      nanos: Math.trunc((failure.retryDelayMs % 1_000) * 1e6),
    };
    details.push(any("google.rpc.RetryInfo", RetryInfo.encode({ retryDelay }).finish()));
  }
  return details;
}

function any(type: string, value: Uint8Array): Any {
  return { typeUrl: TYPE_URL_PREFIX + type, value: toBuffer(value) };
}

/** As many violations as fit in a trailer; a last one tells how many do not. */
function withinLimit(violations: readonly Violation[]): Violation[] {
  const kept: Violation[] = [];
  let bytes = 0;
  for (const violation of violations) {
    const description = printable(violation.description, MAX_VIOLATION_TEXT_CHARS);
    bytes += Buffer.byteLength(violation.field) + Buffer.byteLength(description) + violation.reason.length + 8;
    if (bytes > MAX_VIOLATIONS_BYTES && kept.length > 0) {
      const left = violations.length - kept.length;
      kept.push({ field: "", description: `and ${left} more violations`, reason: "more" });
      break;
    }
    kept.push({ field: violation.field, description, reason: violation.reason });
  }
  return kept;
}

/** Text that may stand in a header: not too long, and without half a surrogate pair, on which grpc-js throws. */
function printable(text: string, maxChars: number): string {
  const short = text.length <= maxChars ? text : `${text.slice(0, maxChars - 1)}…`;
  return Buffer.from(short).toString();
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads the status of a call to `service` that did not succeed. One without details gets a reason of the mesh. */
export function decodeFailure(status: WireStatus, service: string): RpcError {
  const code = codeName(status.code);
  const details = readDetails(status.metadata);
  if (details === undefined || details.info === undefined) return bareFailure(code, status.details, service);
  return new RpcError({
    code,
    reason: details.info.reason,
    message: details.message || status.details,
    domain: details.info.domain,
    metadata: details.info.metadata,
    violations: details.violations,
    retryDelayMs: details.retryDelayMs,
    remote: true,
  });
}

interface FailureDetails {
  readonly message: string;
  readonly info: ErrorInfo | undefined;
  readonly violations: readonly Violation[];
  readonly retryDelayMs: number | undefined;
}

function readDetails(metadata: Metadata): FailureDetails | undefined {
  const [bytes] = metadata.get(DETAILS_KEY);
  if (!Buffer.isBuffer(bytes)) return undefined;
  try {
    const status = Status.decode(bytes);
    const find = (type: string) => status.details.find((detail) => detail.typeUrl === TYPE_URL_PREFIX + type)?.value;
    const info = find("google.rpc.ErrorInfo");
    const badRequest = find("google.rpc.BadRequest");
    const retry = find("google.rpc.RetryInfo");
    const delay = retry === undefined ? undefined : RetryInfo.decode(retry).retryDelay;
    return {
      message: status.message,
      info: info === undefined ? undefined : ErrorInfo.decode(info),
      violations: badRequest === undefined ? [] : BadRequest.decode(badRequest).fieldViolations,
      retryDelayMs: delay === undefined ? undefined : Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
    };
  } catch {
    return undefined; // not ours: the code alone must do
  }
}

const reasonByCode: Readonly<Partial<Record<CodeName, MeshReason>>> = {
  CANCELLED: "CANCELLED",
  INVALID_ARGUMENT: "INVALID_REQUEST",
  DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
  PERMISSION_DENIED: "NOT_ALLOWED",
  RESOURCE_EXHAUSTED: "OVERLOADED",
  UNIMPLEMENTED: "METHOD_UNKNOWN",
  UNAVAILABLE: "SERVICE_UNAVAILABLE",
  UNAUTHENTICATED: "CALLER_UNKNOWN",
};

/**
 * A status that grpc-js or a proxy made: there is a code and a sentence, and the reason follows from them. The sentence
 * may name addresses, and may be passed on to somebody outside; so it goes to the log alone, as the cause.
 */
function bareFailure(code: CodeName, text: string, service: string): RpcError {
  const reason = reasonOfBareStatus(code, text);
  return new RpcError({
    code,
    reason,
    message: `${service} ${sentenceByReason[reason] ?? `answered ${code}`}`,
    domain: service,
    metadata: code === "UNAVAILABLE" ? { service } : {},
    remote: true,
    cause: new Error(text),
  });
}

const sentenceByReason: Readonly<Partial<Record<MeshReason, string>>> = {
  SERVICE_UNAVAILABLE: "cannot be reached at the moment",
  DEADLINE_EXCEEDED: "did not answer before the deadline",
  CANCELLED: "was told that the call is cancelled",
  OVERLOADED: "has too much to do at the moment",
  MESSAGE_TOO_LARGE: "takes or gives no message of this size",
  METHOD_UNKNOWN: "does not have this method",
};

/** The mesh's reason for a status that grpc-js made by itself. */
export function reasonOfBareStatus(code: CodeName, message: string): MeshReason {
  // grpc-js tells a message over the limit from other exhaustion by its text alone.
  if (code === "RESOURCE_EXHAUSTED" && message.includes("larger than")) return "MESSAGE_TOO_LARGE";
  return reasonByCode[code] ?? "INTERNAL";
}

/** What a call is told that finds no room. */
export const NO_ROOM = "too much work at once";

/** Refusals of one kind differ in when to come again alone. */
const REFUSALS = 32;
const refusals = new Map<string, readonly RpcError[]>();
/** What refusals are on the wire: there are thousands a second, just when there is no time for any. */
const refusalsOnWire = new WeakMap<RpcError, WireStatus>();

/**
 * The failure of a call to `service` that finds no room. Not all are told to come again at the same time. One of a few
 * that are made once, so `message` is one of a few as well.
 */
export function overloaded(message: string, service: string): RpcError {
  const kind = `${service} ${message}`;
  let made = refusals.get(kind);
  if (made === undefined) {
    made = Array.from({ length: REFUSALS }, (_, number) => refusal(message, service, number / REFUSALS));
    refusals.set(kind, made);
  }
  return made[Math.floor(random() * REFUSALS)] ?? refusal(message, service, 0);
}

function refusal(message: string, service: string, part: number): RpcError {
  const failure = meshFailure("OVERLOADED", message, {
    domain: service,
    retryDelayMs: OVERLOAD_RETRY_MS * (0.5 + part),
  });
  refusalsOnWire.set(failure, encodeFailure(failure, service));
  return failure;
}

/** The failure of a call whose time is up, on either side of it. */
export function deadlineExceeded(service: string, remote: boolean): RpcError {
  return meshFailure("DEADLINE_EXCEEDED", `${service} did not answer before the deadline`, { domain: service, remote });
}
