/** Calls that were ended, and those of them that failed by the fault of who answered. */
export interface Calls {
  readonly total: number;
  readonly failed: number;
}

/** So much more of its calls may fail at one than at the others: some failures are nobody's. */
const tolerated = 0.02;
/** What chance alone does more rarely than this is not taken for chance. */
const chance = 1 / 10_000;

/**
 * Whether a new instance fails more of its calls than the old ones do, and more than chance explains: three of three, five
 * of twenty, ten of a hundred, when nothing fails at the old ones. What fails at all of them alike is not its fault.
 */
export function isWorse(fresh: Calls, old: Calls): boolean {
  return atLeast(fresh, share(old) + tolerated) < chance;
}

/** How probable so many failures or more are, where each call fails with `part`: the tail of the binomial distribution. */
function atLeast({ total, failed }: Calls, part: number): number {
  if (failed === 0 || part >= 1) return 1;
  let sum = 0;
  // As logarithms: of a thousand calls, that none fails can be too improbable for a number.
  let log = total * Math.log1p(-part);
  for (let count = 0; count <= total; count++) {
    if (count >= failed) sum += Math.exp(log);
    log += Math.log((total - count) / (count + 1)) + Math.log(part / (1 - part));
  }
  return sum;
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
