import type { Queue, Ticker } from "./pressure.ts";

/**
 * A process as Node runs it, in virtual time: an event loop that takes all that is ready, does it one after the other,
 * looks at its timers, and begins anew; and a pool of connections, behind which statements wait in line.
 */
export interface LoopModel {
  readonly ticker: Ticker;
  readonly pool: Queue;
  nowMs(): number;
  /** Does `work` in the loop, no sooner than `delayMs` from now; it says how long it keeps the loop busy. */
  ready(delayMs: number, work: () => number): void;
  /** Runs a statement on a connection, for as long as `lengthMs` says when it begins, and then `work` in the loop. */
  query(lengthMs: () => number, work: () => number): void;
  /** How many timers wait. */
  timers(): number;
  /** Runs until `endMs`. */
  run(endMs: number): void;
}

/** The same numbers from 0 up to 1 for the same seed: chance that a test can repeat. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    // Numerical Recipes' linear congruential generator.
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Event {
  readonly atMs: number;
  readonly work: () => number;
}

export function createLoopModel(connections: number): LoopModel {
  let nowMs = 0;
  let events: Event[] = [];
  let timers: Event[] = [];

  const ready = (delayMs: number, work: () => number): void => {
    events.push({ atMs: nowMs + delayMs, work });
  };
  const takeDue = (from: readonly Event[]): [Event[], Event[]] => {
    const due = from.filter(({ atMs }) => atMs <= nowMs).sort((a, b) => a.atMs - b.atMs);
    return [due, from.filter(({ atMs }) => atMs > nowMs)];
  };
  const turn = (): void => {
    let due: Event[];
    [due, events] = takeDue(events);
    for (const { work } of due) nowMs += work();
    [due, timers] = takeDue(timers);
    for (const { work } of due) nowMs += work();
  };
  const wake = (callback: () => void) => (): number => {
    callback();
    return 0;
  };
  return {
    ...createPool(connections, () => nowMs, ready),
    ticker: {
      nowMs: () => nowMs,
      after: (delayMs, callback) => {
        timers.push({ atMs: nowMs + delayMs, work: wake(callback) });
      },
    },
    nowMs: () => nowMs,
    ready,
    timers: () => timers.length,
    run(endMs) {
      while (nowMs < endMs) {
        const next = Math.min(endMs, ...events.map(({ atMs }) => atMs), ...timers.map(({ atMs }) => atMs));
        nowMs = Math.max(nowMs, next);
        turn();
      }
    },
  };
}

/** Connections for statements, and the line before them. */
function createPool(
  connections: number,
  nowMs: () => number,
  ready: LoopModel["ready"],
): Pick<LoopModel, "pool" | "query"> {
  let free = connections;
  const line: { readonly sinceMs: number; readonly begin: () => void }[] = [];
  return {
    pool: { oldestWaitMs: () => (line[0] === undefined ? 0 : nowMs() - line[0].sinceMs) },
    query(lengthMs, work) {
      const begin = (): void =>
        ready(lengthMs(), () => {
          const next = line.shift();
          if (next === undefined) free += 1;
          else next.begin();
          return work();
        });
      if (free === 0) {
        line.push({ sinceMs: nowMs(), begin });
        return;
      }
      free -= 1;
      begin();
    },
  };
}
