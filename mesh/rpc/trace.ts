import { randomFillSync } from "node:crypto";
import type { TraceContext } from "#mesh/rpc/call.ts";

/** The metadata entry of W3C trace context. */
export const TRACEPARENT_KEY = "traceparent";

const SAMPLED = 1;
const TRACEPARENT = /^00-(?<traceId>[0-9a-f]{32})-(?<parent>[0-9a-f]{16})-(?<flags>[0-9a-f]{2})$/;
const ZERO_TRACE_ID = "0".repeat(32);
const ZERO_SPAN_ID = "0".repeat(16);

/** A new span: in the trace that `traceparent` names, or at the root of a new one when it names none. */
export function newSpan(traceparent: string | undefined): TraceContext {
  const parent = traceparent === undefined ? undefined : TRACEPARENT.exec(traceparent)?.groups;
  const spanId = randomHex(8);
  if (parent?.traceId === undefined || parent.traceId === ZERO_TRACE_ID || parent.parent === ZERO_SPAN_ID) {
    return { traceId: randomHex(16), spanId, flags: SAMPLED };
  }
  return { traceId: parent.traceId, spanId, flags: Number.parseInt(parent.flags ?? "00", 16) };
}

/** The `traceparent` of calls made under this span. */
export function formatTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags < 16 ? "0" : ""}${flags.toString(16)}`;
}

// One system call fills the ids of about two hundred calls.
const pool = Buffer.alloc(4_096);
let used = pool.length;

/** Random bytes as hex digits, for ids that need to be unique but not secret. */
export function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return pool.toString("hex", used - bytes, used);
}
