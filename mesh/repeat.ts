import type { Logger } from "pino";

/** Work that goes on in the background until its owner closes it. */
export interface Background {
  /** Ends it, after the round that runs. May be called more than once. */
  close(): Promise<void>;
}

/** Work in rounds, of which the next can be had sooner. */
export interface Repeating extends Background {
  /** Begins a round now, or right after the one that runs: what was there before this call, a whole round will see. */
  wake(): void;
}

export interface RepeatOptions {
  /** What it is, for the log. */
  readonly name: string;
  /** How long to wait between the end of one round and the beginning of the next. */
  readonly everyMs: number;
  readonly log: Pick<Logger, "warn">;
}

/**
 * Does `round` again and again, one at a time, first after `everyMs`. A round that throws is logged, and the next comes
 * all the same. `signal` aborts when the owner closes, for rounds that take long.
 */
export function repeat(options: RepeatOptions, round: (signal: AbortSignal) => Promise<void>): Repeating {
  const { name, everyMs, log } = options;
  const closing = new AbortController();
  let running: Promise<void> | undefined;
  let again = false;
  let timer = setTimeout(start, everyMs);

  function start(): void {
    running = run();
  }

  async function run(): Promise<void> {
    do {
      again = false;
      try {
        await round(closing.signal);
      } catch (error) {
        if (!closing.signal.aborted) log.warn({ err: error, job: name }, `${name} failed; trying again later`);
        break;
      }
    } while (again && !closing.signal.aborted);
    running = undefined;
    if (!closing.signal.aborted) timer = setTimeout(start, everyMs);
  }

  return {
    wake: () => {
      if (closing.signal.aborted) return;
      again = true;
      if (running !== undefined) return;
      clearTimeout(timer);
      start();
    },
    close: async () => {
      closing.abort();
      clearTimeout(timer);
      await running;
    },
  };
}
