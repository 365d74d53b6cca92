/** A span for people: `200 ms`, `3 s`, `12 min 3 s`, `2 h 14 min`, `3 d 4 h`. */
export function spanText(spanMs: number): string {
  if (spanMs < 1_000) return `${Math.round(spanMs)} ms`;
  return pairs(spanMs, [" s", " min ", " h ", " d "]);
}

/** The same for a column: `3s`, `12m3s`, `2h14m`, `3d4h`. */
export function shortSpan(spanMs: number): string {
  return pairs(spanMs, ["s", "m", "h", "d"]);
}

/** The two greatest units of a span; units from the second up. */
function pairs(spanMs: number, [s, min, h, d]: readonly [string, string, string, string]): string {
  const seconds = Math.floor(spanMs / 1_000);
  const two = (great: number, greatUnit: string, small: number, smallUnit: string): string =>
    (small === 0 ? `${great}${greatUnit}` : `${great}${greatUnit}${small}${smallUnit}`).trim();
  if (seconds < 60) return `${seconds}${s}`;
  if (seconds < 3_600) return two(Math.floor(seconds / 60), min, seconds % 60, s);
  if (seconds < 86_400) return two(Math.floor(seconds / 3_600), h, Math.floor((seconds % 3_600) / 60), min);
  return two(Math.floor(seconds / 86_400), d, Math.floor((seconds % 86_400) / 3_600), h);
}
