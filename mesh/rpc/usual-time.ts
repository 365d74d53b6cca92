/** How long the calls of one method take, as far as it is certain. */
export interface UsualTime {
  /** A call that took its place at `admittedAtMs` was answered well at `nowMs`, both in epoch milliseconds. */
  note(nowMs: number, admittedAtMs: number): void;
  /**
   * What even the fastest call of late took, in milliseconds: with less time than this, a call would be worked on in
   * vain. 0 when too little is known to say so.
   */
  leastMs(nowMs: number): number;
}

/** What is older than two of these is forgotten: whoever is refused by a figure does not get to correct it. */
const SPAN_MS = 2_000;
/** So many calls in a span make a figure. */
const MIN_CALLS = 20;
/** The clock shows whole milliseconds, so that a difference is up to one too long; and a timer is as imprecise. */
const DOUBT_MS = 2;

interface Span {
  readonly endsMs: number;
  readonly calls: number;
  readonly leastMs: number;
}

const nothing: Span = { endsMs: 0, calls: 0, leastMs: Number.POSITIVE_INFINITY };

/** Keeps the least time of the last two spans. */
export function createUsualTime(): UsualTime {
  let before = nothing;
  let calls = 0;
  let leastMs = Number.POSITIVE_INFINITY;
  let endsMs = 0;

  const moveTo = (nowMs: number): void => {
    if (nowMs < endsMs && nowMs >= endsMs - SPAN_MS) return;
    before = { endsMs, calls, leastMs };
    calls = 0;
    leastMs = Number.POSITIVE_INFINITY;
    endsMs = nowMs + SPAN_MS;
  };
  return {
    note(nowMs, admittedAtMs) {
      moveTo(nowMs);
      calls += 1;
      leastMs = Math.min(leastMs, Math.max(0, nowMs - admittedAtMs));
    },
    leastMs(nowMs) {
      moveTo(nowMs);
      const fresh = nowMs - before.endsMs <= SPAN_MS && nowMs >= before.endsMs;
      if (!fresh || before.calls < MIN_CALLS) return 0;
      return Math.max(0, Math.min(before.leastMs, leastMs) - DOUBT_MS);
    },
  };
}
