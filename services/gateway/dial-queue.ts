import type { GatewayLimits } from "./limits.ts";

/**
 * The dials to the instances of one service. So many are under way at a time, and one that failed counts for a while
 * longer: thus a service of whose instances hundreds answer nobody costs no more than one of whose instances a few do.
 */
export interface DialQueue {
  /**
   * Dials when it is the instance's turn: those that failed less often in a row come first, and of these who waits
   * longest. Rejects as the dial does, or with the signal's reason when the instance is gone before its turn.
   */
  dial<T>(instance: Dialled, dial: () => Promise<T>): Promise<T>;
}

/** An instance, as far as its turn depends on it. */
export interface Dialled {
  /** Failed dials since the last that did not. */
  readonly failures: number;
  /** Aborted when it is no longer of interest. */
  readonly gone: AbortSignal;
}

interface Waiting {
  readonly failures: number;
  readonly begin: () => void;
}

export function createDialQueue({ dialsAtOnce, dialPauseMs }: DialLimits): DialQueue {
  const waiting = new Set<Waiting>(); // at most one for each instance
  let free = dialsAtOnce;

  const release = (): void => {
    free += 1;
    const first = leastFailed(waiting);
    if (first !== undefined) first.begin();
  };
  const turn = ({ failures, gone }: Dialled): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(one);
        reject(gone.reason);
      };
      const one: Waiting = {
        failures,
        begin() {
          free -= 1;
          waiting.delete(one);
          gone.removeEventListener("abort", leave);
          resolve();
        },
      };
      if (gone.aborted) return leave();
      if (free > 0) return one.begin();
      waiting.add(one);
      gone.addEventListener("abort", leave);
    });

  return {
    async dial(instance, dial) {
      await turn(instance);
      try {
        const dialled = await dial();
        release();
        return dialled;
      } catch (error) {
        setTimeout(release, dialPauseMs).unref();
        throw error;
      }
    },
  };
}

type DialLimits = Pick<GatewayLimits, "dialsAtOnce" | "dialPauseMs">;

function leastFailed(waiting: ReadonlySet<Waiting>): Waiting | undefined {
  let least: Waiting | undefined;
  for (const one of waiting) if (least === undefined || one.failures < least.failures) least = one;
  return least;
}
