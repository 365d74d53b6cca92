import { type CodeName, RpcError } from "#mesh/contract/errors.ts";
import { describeCallers } from "#mesh/identity/authorize.ts";
import { epochMs } from "#mesh/rpc/call-context.ts";
import type { Answer } from "#mesh/rpc/server-errors.ts";
import type { CallState } from "#mesh/rpc/server-pipeline.ts";

/** Codes for which somebody on our side should look; the rest are the caller's affair. */
const levels: Readonly<Partial<Record<CodeName, "warn" | "error">>> = {
  UNKNOWN: "error",
  INTERNAL: "error",
  DATA_LOSS: "error",
  UNAVAILABLE: "warn",
  DEADLINE_EXCEEDED: "warn",
  RESOURCE_EXHAUSTED: "warn",
};

/** The one line of a call. Never holds a token, a header or a message. */
export function logCall(state: CallState, answer?: Answer): void {
  const { parts, method } = state.route;
  const code = answer?.failure.code ?? "OK";
  const level = levels[code] ?? "info";
  if (!parts.log.isLevelEnabled(level)) return;
  const { caller, rule, user, trace } = state;
  const line = {
    service: method.info.service,
    method: method.info.name,
    code,
    durationMs: epochMs() - state.startedAtMs,
    caller,
    userId: user?.id,
    rule,
    traceId: trace.traceId,
  };
  if (answer === undefined) {
    parts.log[level](line, "call");
    return;
  }
  const { failure, defect } = answer;
  parts.log[level](
    {
      ...line,
      reason: failure.reason,
      // Who was turned away asks next who would have been let in.
      policy: failure.reason === "NOT_ALLOWED" ? describeCallers(method.policy.callers) : undefined,
      domain: failure.remote ? failure.domain : undefined,
      correlationId: failure.metadata.correlation_id,
      err: defect,
    },
    "call",
  );
}

/** A handler that failed after its call had ended. That it was stopped is no news; anything else is a defect. */
export function logLateFailure({ route, trace }: CallState, error: unknown): void {
  if (error instanceof RpcError || (error instanceof Error && error.name === "AbortError")) return;
  const fields = { method: route.method.info.path, traceId: trace.traceId, err: error };
  route.parts.log.warn(fields, "handler failed after its call ended");
}
