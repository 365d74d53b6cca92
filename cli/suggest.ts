/** Longer lists are cut. */
const maxNamed = 20;

/** What to say after a name that is not known: the one that was probably meant, and which there are. */
export function didYouMean(name: string, known: readonly string[]): string {
  const best = closest(name, known);
  const guess = best === undefined ? "" : `; did you mean ${best}?`;
  if (known.length === 0) return guess;
  const more = known.length > maxNamed ? ", …" : "";
  return `${guess === "" ? ";" : guess} there are ${known.slice(0, maxNamed).join(", ")}${more}`;
}

/** The known name that is nearest to what was typed; undefined when none is near. */
export function closest(name: string, known: readonly string[]): string | undefined {
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) => distance <= Math.max(2, Math.floor(candidate.length / 3)))
    .toSorted((a, b) => a.distance - b.distance);
  return near[0]?.candidate;
}

/** How many letters must be changed, added or left out to make one of the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [done, letter] of [...from].entries()) {
    const next = [done + 1];
    for (let column = 1; column <= to.length; column++) {
      const change = (row[column - 1] ?? 0) + (letter === to[column - 1] ? 0 : 1);
      next.push(Math.min(change, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
