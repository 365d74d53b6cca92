import type { Clock } from "#mesh/clock.ts";
import type { Cleanup } from "./cleanup.ts";
import type { Terminal } from "./logs/terminal.ts";
import type { Output } from "./output.ts";
import type { Reach } from "./run-plan.ts";
import type { Settings } from "./settings.ts";
import type { RestartPolicy } from "./supervisor/restart-policy.ts";
import type { Kind } from "./topology.ts";

export interface StartShopOptions extends Settings {
  readonly output: Output;
  /** Where the built programs are: `dist/`. */
  readonly programsDir: URL;
  /** Gives up the start when it aborts: all that was started is stopped, and startShop rejects. */
  readonly signal?: AbortSignal;
  /** Makes haste with stopping when it aborts: nobody is waited for any longer. */
  readonly hasten?: AbortSignal;
  readonly clock?: Clock;
  /** Our environment, of which the processes get what they need; the process's own by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How programs reach each other; directly, unless a test stands in between. */
  readonly reach?: Reach;
  /** When a process that ended is started again. */
  readonly restartPolicy?: RestartPolicy;
}

/** What every part of a start works with. */
export interface Context extends StartShopOptions {
  readonly kinds: readonly Kind[];
  /** How many instances of each kind there are to be, by its name. */
  readonly counts: ReadonlyMap<string, number>;
  readonly terminal: Terminal;
  readonly cleanup: Cleanup;
  readonly clock: Clock;
  readonly startTime: Date;
  /** The same on the clock that measures spans. */
  readonly begin: number;
}
