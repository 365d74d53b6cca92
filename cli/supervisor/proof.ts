/** Calls that were ended, and those of them that failed by the fault of who answered. */
export interface Calls {
  readonly total: number;
  readonly failed: number;
}

/** Fewer calls than this say nothing about who answered them. */
const minCalls = 20;
/** So much more of its calls may fail at one than at the others, before that counts: two calls of twenty are chance. */
const tolerated = 0.1;

/**
 * Whether a new instance fails more of its calls than the old ones do, as far as there are enough calls to tell. What
 * fails at all of them alike is not the new one's fault.
 */
export function isWorse(fresh: Calls, old: Calls): boolean {
  if (fresh.total < minCalls) return false;
  return share(fresh) > share(old) + tolerated;
}

function share({ total, failed }: Calls): number {
  return total === 0 ? 0 : failed / total;
}

/** The calls that came in between two looks, over all the named instances. */
export function callsBetween(
  before: ReadonlyMap<string, Calls>,
  after: ReadonlyMap<string, Calls>,
  names: readonly string[],
): Calls {
  const none: Calls = { total: 0, failed: 0 };
  return names.reduce<Calls>((sum, name) => {
    const [first, last] = [before.get(name) ?? none, after.get(name) ?? none];
    // One that was started anew in between counts from nothing.
    const begin = last.total < first.total ? none : first;
    return { total: sum.total + last.total - begin.total, failed: sum.failed + last.failed - begin.failed };
  }, none);
}
