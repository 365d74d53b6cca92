/** Where the time comes from. Passed in, so that a test can hold the time still; nothing else reads the clock. */
export interface Clock {
  /** The present moment. */
  now(): Date;
}

/**
 * The present moment in epoch milliseconds, by the machine's clock, for what races real timers in tests as well. Without
 * the `Date` that a `Clock` makes, because each call asks several times.
 */
export function epochMs(): number {
  return Date.now();
}

/** The clock of the machine. */
export const systemClock: Clock = { now: () => new Date() };
