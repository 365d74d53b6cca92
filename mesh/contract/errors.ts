import type { Code } from "#gen/google/rpc/code.ts";
import { meshReasons } from "#gen/mesh/v1/reasons.ts";
import type { Contract, ContractReason } from "#mesh/contract/contract.ts";

/** The name of a gRPC status code: `NOT_FOUND`. */
export type CodeName = keyof typeof Code;

/** Why the mesh itself fails a call; see `mesh/v1/error_reason.proto`. */
export type MeshReason = keyof typeof meshReasons;

/** One broken rule of a request. */
export interface Violation {
  /** The path of the field in names of the `.proto`: `lines[2].quantity`; empty for the message as a whole. */
  readonly field: string;
  /** What is wrong, for people. */
  readonly description: string;
  /** The rule, for programs: `string.min_len`. */
  readonly reason: string;
}

export interface RpcErrorInit<Reason extends string> {
  readonly code: CodeName;
  readonly reason: Reason;
  readonly message: string;
  readonly domain?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly Violation[];
  readonly retryDelayMs?: number;
  readonly remote?: boolean;
  readonly cause?: unknown;
}

/**
 * The failure of a call: what a handler throws and what a client rejects with. On the wire it is a
 * `google.rpc.Status` with exactly one `ErrorInfo`, and a `BadRequest` or a `RetryInfo` where they apply.
 */
export class RpcError<Reason extends string = string> extends Error {
  override readonly name = "RpcError";
  readonly code: CodeName;
  /** Why, for programs; unique within the domain. */
  readonly reason: Reason;
  /** The full name of the service that gave the reason; empty until the server that throws it fills it in. */
  readonly domain: string;
  /** Values that belong to the reason, as the contract tells. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly Violation[];
  /** How long to wait before the next try, when the callee says. */
  readonly retryDelayMs: number | undefined;
  /** Whether another service gave it (or could not be reached to give any), rather than this process. */
  readonly remote: boolean;

  constructor(init: RpcErrorInit<Reason>) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.reason = init.reason;
    this.domain = init.domain ?? "";
    this.metadata = init.metadata ?? {};
    this.violations = init.violations ?? [];
    this.retryDelayMs = init.retryDelayMs;
    this.remote = init.remote ?? false;
  }
}

/** Makes the failures of one service: `fail("OUT_OF_STOCK", "3 left of SKU-1", { available: "3" })`. */
export type FailureMaker<C extends Contract> = <R extends ContractReason<C>>(
  reason: R,
  message: string,
  metadata?: Readonly<Record<string, string>>,
  options?: { readonly cause?: unknown; readonly retryDelayMs?: number },
) => RpcError<R>;

/** The failures that a contract declares. The status code of each comes from the contract. */
export function failures<C extends Contract>(contract: C): FailureMaker<C> {
  const codes = new Map<string, CodeName>();
  for (const method of Object.values(contract.methods)) {
    for (const [reason, code] of Object.entries(method.errors)) codes.set(reason, code);
  }
  return (reason, message, metadata, options) => {
    const code = codes.get(reason);
    if (code === undefined) throw new TypeError(`${contract.name} declares no reason ${reason}`);
    return new RpcError({
      code,
      reason,
      message,
      domain: contract.name,
      metadata,
      ...options,
    });
  };
}

/** A failure that any method may give; see `mesh.v1.ErrorReason`. */
export function meshFailure<R extends MeshReason>(
  reason: R,
  message: string,
  details: Omit<RpcErrorInit<R>, "code" | "reason" | "message"> = {},
): RpcError<R> {
  return new RpcError({
    ...details,
    code: meshReasons[reason],
    reason,
    message,
  });
}

/** A request that breaks rules which the contract cannot express: INVALID_REQUEST, naming each of them. */
export function invalidArgument(violations: readonly Violation[]): RpcError<"INVALID_REQUEST"> {
  const named = violations
    .slice(0, MAX_NAMED_IN_MESSAGE)
    .map(({ field, description }) => (field === "" ? description : `${field}: ${description}`));
  const more = violations.length - named.length;
  const message = [...named, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  return meshFailure("INVALID_REQUEST", message === "" ? "invalid request" : message, { violations });
}

/** A message is for people, some of whose tools show nothing else; `violations` has them all. */
const MAX_NAMED_IN_MESSAGE = 10;

/** Whether a caught value is an `RpcError` with this reason. */
export function isReason<R extends string>(error: unknown, reason: R): error is RpcError<R> {
  return error instanceof RpcError && error.reason === reason;
}
