/** A line in which the work of calls waits, such as that for a connection to the database. */
export interface Queue {
  /** How long the one at its head has been waiting by now, in milliseconds; 0 when nobody does. */
  oldestWaitMs(): number;
}

/** The time by which a process measures itself, and what wakes it. */
export interface Ticker {
  /** Milliseconds that never go back. */
  nowMs(): number;
  /** Calls back once, `delayMs` from now, or as soon after as the process comes to it. */
  after(delayMs: number, callback: () => void): void;
}

/** The time of this process. It does not keep the process alive. */
export const processTicker: Ticker = {
  nowMs: () => performance.now(),
  after: (delayMs, callback) => setTimeout(callback, delayMs).unref(),
};

/** How late the event loop may come to a timer. That is about half of one turn of it, and a call takes several turns. */
const TOLERATED_LAG_MS = 10;
/** How long the head of a queue may wait: what DAGOR (see concurrency-limit.ts) was run with, too. */
const TOLERATED_WAIT_MS = 50;
const SAMPLE_EVERY_MS = 10;
/** A figure is made of what was seen in this time … */
const WINDOW_MS = 100;
/** … but of no fewer samples than these: a process that stood still for a second has one of that second. */
const MIN_SAMPLES = 3;

export interface PressureOptions {
  readonly queues: readonly Queue[];
  readonly ticker: Ticker;
  /**
   * Takes each figure: how long work waits here, for the event loop or in the worst of the queues, as a multiple of what
   * is tolerated. It is a median, which one stall does not move. False ends the measuring.
   */
  readonly onFigure: (pressure: number) => boolean;
}

/** Returns what begins to measure; while it is measured, that does nothing. */
export function pressureGauge({ queues, ticker, onFigure }: PressureOptions): () => void {
  let measuring = false;
  let dueMs = 0;
  let windowEndsMs = 0;
  let samples: number[] = [];

  const openWindow = (): void => {
    samples = [];
    windowEndsMs = ticker.nowMs() + WINDOW_MS;
  };
  const sampleLater = (): void => {
    dueMs = ticker.nowMs() + SAMPLE_EVERY_MS;
    ticker.after(SAMPLE_EVERY_MS, sample);
  };
  const sample = (): void => {
    const nowMs = ticker.nowMs();
    let pressure = (nowMs - dueMs) / TOLERATED_LAG_MS;
    for (const queue of queues) pressure = Math.max(pressure, queue.oldestWaitMs() / TOLERATED_WAIT_MS);
    samples.push(pressure);
    if (nowMs >= windowEndsMs && samples.length >= MIN_SAMPLES) {
      measuring = onFigure(median(samples));
      openWindow();
    }
    if (measuring) sampleLater();
  };
  return () => {
    if (measuring) return;
    measuring = true;
    openWindow();
    sampleLater();
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}
