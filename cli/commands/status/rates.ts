import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";

/** What an instance had done at its last report, and how fast it was before that. */
export interface Pace {
  readonly registerTimeMs: number;
  readonly reportTimeMs: number;
  readonly callsTotal: bigint;
  /** Calls a second between the last two reports that were seen; undefined until there were two. */
  readonly callsPerSecond: number | undefined;
}

/** The pace of each instance, by its key, from one look to the next. By the reports' own times: looks may be late. */
export function nextPaces(
  before: ReadonlyMap<string, Pace>,
  instances: readonly RegisteredInstance[],
): ReadonlyMap<string, Pace> {
  const paces = new Map<string, Pace>();
  for (const { instance, stats, registerTime, reportTime } of instances) {
    if (instance === undefined || stats === undefined || reportTime === undefined) continue;
    const now = {
      registerTimeMs: registerTime?.getTime() ?? 0,
      reportTimeMs: reportTime.getTime(),
      callsTotal: stats.callsTotal,
    };
    const key = keyOf(instance);
    paces.set(key, { ...now, callsPerSecond: paceSince(before.get(key), now) });
  }
  return paces;
}

function paceSince(before: Pace | undefined, now: Omit<Pace, "callsPerSecond">): number | undefined {
  // Another process under the same name counts from nothing.
  if (before === undefined || before.registerTimeMs !== now.registerTimeMs) return undefined;
  const spanMs = now.reportTimeMs - before.reportTimeMs;
  if (spanMs === 0) return before.callsPerSecond;
  if (spanMs < 0 || now.callsTotal < before.callsTotal) return undefined;
  return (Number(now.callsTotal - before.callsTotal) * 1_000) / spanMs;
}

/** Tells instances apart, as the registry does. */
export function keyOf(instance: { readonly service: string; readonly name: string } | undefined): string {
  return `${instance?.service}/${instance?.name}`;
}
