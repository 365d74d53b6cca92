/** Decides whether there is room for one more call. An adaptive limit can stand in for the ceiling. */
export interface Admission {
  /** Takes a place, or returns false at once when there is none. */
  tryEnter(): boolean;
  /** Gives the place back. Called once for every `tryEnter` that returned true. */
  leave(): void;
}

/** Admits up to `limit` calls at a time and refuses the rest: waiting in line would only make the late ones later. */
export function concurrencyCeiling(limit: number): Admission {
  let running = 0;
  return {
    tryEnter() {
      if (running >= limit) return false;
      running += 1;
      return true;
    },
    leave() {
      running -= 1;
    },
  };
}
