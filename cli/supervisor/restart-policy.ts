/** When a process that ended is started again. */
export interface RestartPolicy {
  /** The first delay; it doubles with each end that follows soon. */
  readonly initialMs: number;
  readonly maxMs: number;
  /** A process that lived so long begins again with the first delay. */
  readonly steadyMs: number;
  /** How long a process may take until it takes calls; then it is killed, and counts as ended. */
  readonly readyMs: number;
  /** One that ended so often, each time before it was steady, keeps crashing. */
  readonly crashes: number;
  /** The delay from then on; it doubles too. */
  readonly crashingMs: number;
  readonly crashingMaxMs: number;
}

export const defaultRestartPolicy: RestartPolicy = {
  initialMs: 500,
  maxMs: 10_000,
  steadyMs: 60_000,
  readyMs: 60_000,
  crashes: 5,
  crashingMs: 30_000,
  crashingMaxMs: 300_000,
};

/** What is to be done after an end. */
export interface Restart {
  readonly delayMs: number;
  /** How often it ended soon after its start, when that is too often; else undefined. */
  readonly crashes: number | undefined;
}

export interface RestartTimes {
  /** To be told each end, with how long the process lived. */
  ended(livedMs: number): Restart;
}

/** Counts the ends of one process. */
export function createRestartTimes(policy: RestartPolicy): RestartTimes {
  let soon = 0;
  return {
    ended(livedMs) {
      soon = livedMs >= policy.steadyMs ? 1 : soon + 1;
      if (soon < policy.crashes) {
        return { delayMs: doubled(policy.initialMs, soon - 1, policy.maxMs), crashes: undefined };
      }
      return { delayMs: doubled(policy.crashingMs, soon - policy.crashes, policy.crashingMaxMs), crashes: soon };
    },
  };
}

function doubled(firstMs: number, times: number, maxMs: number): number {
  // Beyond some powers of two the bound is reached whatever the first was.
  return Math.min(firstMs * 2 ** Math.min(times, 20), maxMs);
}
