import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";

/** What of a call decides where it goes. */
export interface RoutedCall {
  /** The first value of a header, by its name in lower case. */
  readonly header: (name: string) => string | undefined;
  /** From 0 up to and without 1. */
  readonly random: number;
}

/**
 * The version to which a call goes, one of those that are `there`; undefined for any. The first header that matches
 * decides, else the weights. A version that is not there is passed over, and its share goes to the others in proportion
 * to theirs; when none with a share is there, all instances take turns rather than that the call fails.
 */
export function chooseVersion(
  split: TrafficSplit,
  there: ReadonlySet<string>,
  { header, random }: RoutedCall,
): string | undefined {
  for (const match of split.headerMatches) {
    if (there.has(match.version) && header(match.header) === match.value) return match.version;
  }
  let total = 0;
  for (const { version, percent } of split.weights) if (there.has(version)) total += percent;
  let point = random * total;
  for (const { version, percent } of split.weights) {
    if (!there.has(version)) continue;
    if (point < percent) return version;
    point -= percent;
  }
  return undefined;
}
