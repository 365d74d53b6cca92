import { randomFillSync } from "node:crypto";
import type { TraceContext } from "#mesh/rpc/call.ts";

/** The metadata entry of W3C trace context. */
export const TRACEPARENT_KEY = "traceparent";

const SAMPLED = 1;
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const ZERO_TRACE_ID = "0".repeat(32);
const ZERO_SPAN_ID = "0".repeat(16);

/** A new span: in the trace that `traceparent` names, or at the root of a new one when it names none. */
export function newSpan(traceparent: string | undefined): TraceContext {
  const spanId = randomHex(8);
  if (traceparent !== undefined && TRACEPARENT.test(traceparent)) {
    const traceId = traceparent.slice(3, 35);
    const parentId = traceparent.slice(36, 52);
    const flags = Number.parseInt(traceparent.slice(53), 16);
    if (traceId !== ZERO_TRACE_ID && parentId !== ZERO_SPAN_ID) return { traceId, spanId, flags };
  }
  return { traceId: randomHex(16), spanId, flags: SAMPLED };
}

/** The `traceparent` of calls made under this span. */
export function formatTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags < 16 ? "0" : ""}${flags.toString(16)}`;
}

// One system call fills the ids of some five hundred calls, and they are written as digits all at once.
const pool = Buffer.alloc(4_096);
let digits = "";
let used = 0;

/** Random bytes as hex digits, for ids that need to be unique but not secret; 4,096 at the most. */
export function randomHex(bytes: number): string {
  if (digits.length < used + 2 * bytes) {
    digits = randomFillSync(pool).toString("hex");
    used = 0;
  }
  used += 2 * bytes;
  return digits.slice(used - 2 * bytes, used);
}
