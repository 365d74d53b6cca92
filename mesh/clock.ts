/** Where the time comes from. Passed in, so that a test can hold the time still; nothing else reads the clock. */
export interface Clock {
  /** The present moment. */
  now(): Date;
}

/** The clock of the machine. */
export const systemClock: Clock = { now: () => new Date() };
