import type { StateFile } from "./state-file.ts";

/** A state in memory that is on disk before anybody is told of it. */
export interface KeptState<T> {
  readonly value: T;
  /**
   * Lets `step` decide on the next state, one step at a time. The next state is written, and then it holds; when the
   * write fails, the state is as before and the promise rejects. A `step` that gives the same state writes nothing.
   */
  change<R>(step: (value: T) => { readonly next: T; readonly result: R }): Promise<R>;
}

/** How many steps may wait for the disk. */
const MAX_WAITING = 1_000;

export function keepState<T>(file: Pick<StateFile<T>, "write">, first: T, overloaded: () => Error): KeptState<T> {
  let value = first;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return {
    get value() {
      return value;
    },
    async change(step) {
      if (waiting >= MAX_WAITING) throw overloaded();
      waiting += 1;
      const mine = last.then(async () => {
        const { next, result } = step(value);
        if (next !== value) await file.write(next);
        value = next;
        return result;
      });
      last = mine.catch(() => {});
      try {
        return await mine;
      } finally {
        waiting -= 1;
      }
    },
  };
}
