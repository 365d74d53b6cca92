import { epochMs } from "#mesh/clock.ts";
import { type CodeName, RpcError } from "#mesh/contract/errors.ts";
import { describeCallers } from "#mesh/identity/authorize.ts";
import type { CallState } from "#mesh/rpc/call-state.ts";
import type { Answer } from "#mesh/rpc/server-errors.ts";

/** Codes for which somebody on our side should look; the rest are the caller's affair. */
const levels: Readonly<Partial<Record<CodeName, "warn" | "error">>> = {
  UNKNOWN: "error",
  INTERNAL: "error",
  DATA_LOSS: "error",
  UNAVAILABLE: "warn",
  DEADLINE_EXCEEDED: "warn",
  RESOURCE_EXHAUSTED: "warn",
};

/**
 * The one line of a call; but those that were refused because there is too much to do share theirs. Never holds a token,
 * a header or a message.
 */
export function logCall(state: CallState, answer?: Answer): void {
  if (answer?.failure.reason === "OVERLOADED" && !state.route.parts.refusals.count()) return;
  logLine(state, answer);
}

/** A line of its own, whatever the call ended with. */
export function logLine(state: CallState, answer?: Answer): void {
  const { log, method } = state.route;
  const code = answer?.failure.code ?? "OK";
  const level = levels[code] ?? "info";
  if (!log.isLevelEnabled(level)) return;
  const { caller, rule, user, trace } = state;
  const line = {
    code,
    durationMs: epochMs() - state.startedAtMs,
    caller,
    userId: user?.id,
    rule,
    traceId: trace.traceId,
  };
  if (answer === undefined) {
    log[level](line, "call");
    return;
  }
  const { failure, defect } = answer;
  log[level](
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
  route.log.warn({ traceId: trace.traceId, err: error }, "handler failed after its call ended");
}
