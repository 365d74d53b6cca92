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

/** Who holds places, and how many they may hold at a time. */
export interface Principal {
  readonly key: string;
  readonly share: number;
}

/** A ceiling of which nobody has more than their share. It remembers only those who hold a place. */
export interface SharedAdmission {
  /** The admission of one principal. */
  of(principal: Principal): Admission;
}

/** Admits up to `limit` calls at a time, and of each principal up to its share. */
export function sharedCeiling(limit: number): SharedAdmission {
  const all = concurrencyCeiling(limit);
  const held = new Map<string, number>();
  return {
    of: ({ key, share }) => ({
      tryEnter() {
        const before = held.get(key) ?? 0;
        if (before >= share || !all.tryEnter()) return false;
        held.set(key, before + 1);
        return true;
      },
      leave() {
        all.leave();
        const left = (held.get(key) ?? 0) - 1;
        if (left > 0) held.set(key, left);
        else held.delete(key);
      },
    }),
  };
}
