import { expect, test } from "vitest";
import { shortSpan, spanText } from "./span-text.ts";
import { fromDuration, readSpan, toDuration } from "./values.ts";

test.each([
  [200, "200 ms", "0s"],
  [3_999, "3 s", "3s"],
  [60_000, "1 min", "1m"],
  [723_000, "12 min 3 s", "12m3s"],
  [8_040_000, "2 h 14 min", "2h14m"],
  [273_600_000, "3 d 4 h", "3d4h"],
])("%d ms are %s", (spanMs, long, short) => {
  expect(spanText(spanMs)).toBe(long);
  expect(shortSpan(spanMs)).toBe(short);
});

test.each([
  ["200ms", 200],
  ["1.5s", 1_500],
  ["5m", 300_000],
  ["1h", 3_600_000],
  ["2d", 172_800_000],
])("%s is %d ms, as people write it and as contracts do", (text, spanMs) => {
  expect(readSpan("--for", text)).toBe(spanMs);
  expect(fromDuration(toDuration(spanMs))).toBe(spanMs);
});

test.each(["", "5", "0s", "-5s", "5 m", "1w", "1e3s", "1h30m"])("%j is no span", (text) => {
  expect(() => readSpan("--for", text)).toThrow("--for must be a span such as 200ms, 30s, 5m, 1h or 2d");
});
