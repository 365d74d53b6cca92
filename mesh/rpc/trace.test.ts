import { expect, test } from "vitest";
import { formatTraceparent, newSpan, randomHex } from "./trace.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";

test("goes on with the caller's trace under a span of its own", () => {
  const span = newSpan(`00-${traceId}-b7ad6b7169203331-00`);
  expect(span).toMatchObject({ traceId, flags: 0 });
  expect(span.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(span.spanId).not.toBe("b7ad6b7169203331");
});

test("what it writes, it reads", () => {
  const span = newSpan(undefined);
  expect(formatTraceparent(span)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(newSpan(formatTraceparent(span))).toMatchObject({ traceId: span.traceId, flags: 1 });
  expect(formatTraceparent({ ...span, flags: 255 })).toMatch(/-ff$/);
});

test.each([
  undefined,
  "",
  "nonsense",
  `01-${traceId}-b7ad6b7169203331-01`,
  `00-${traceId.toUpperCase()}-b7ad6b7169203331-01`,
  `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
  `00-${traceId}-${"0".repeat(16)}-01`,
  `00-${traceId}-b7ad6b7169203331-01-more`,
])("begins a trace when the caller sends %s", (traceparent) => {
  const span = newSpan(traceparent);
  expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(span.traceId).not.toBe(traceId);
});

test("ids do not repeat", () => {
  const ids = new Set(Array.from({ length: 10_000 }, () => randomHex(8)));
  expect(ids.size).toBe(10_000);
});
