import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import type { Release } from "../releases/store.ts";
import type { Kind } from "../topology.ts";
import type { Crew, Instance } from "./crew.ts";
import { fail, runsAlready, tooMany } from "./failures.ts";
import type { MeshView } from "./mesh-view.ts";

/** Which calls go to a canary. */
export interface CanaryShare {
  readonly percent: number;
  /** Calls with one of these headers go to it whatever the share. */
  readonly headers: readonly { readonly header: string; readonly value: string }[];
}

interface CanaryDeps {
  readonly crew: Crew;
  readonly view: MeshView;
}

/** Whether a canary can be started. Throws RELEASE_UNUSABLE, or TOO_MANY_INSTANCES. */
export function checkCanary(crew: Crew, kind: Kind, { version }: Release): void {
  if (kind.atMost === 1) throw tooMany(kind.name, 1);
  if (crew.canary(kind) !== undefined) {
    throw fail("TOO_MANY_INSTANCES", `${kind.name} has a canary already: promote it, or end it`, { limit: "1" });
  }
  if (crew.release(kind).version === version) throw runsAlready(kind.name, version);
  crew.checkRoom(kind, 1);
}

/**
 * Starts one instance of another build, and sends it its share of the calls. When that cannot be done, the instance ends
 * and all calls go to the others, as before.
 */
export async function startCanary(
  { crew, view }: CanaryDeps,
  { kind, release, share }: { readonly kind: Kind; readonly release: Release; readonly share: CanaryShare },
  signal: AbortSignal,
): Promise<{ readonly instance: Instance; readonly split: TrafficSplit }> {
  const regular = crew.release(kind).version;
  // So that it gets no calls before its share is known.
  await view.setSplit(kind.name, { headerMatches: [], weights: [{ version: regular, percent: 100 }] });
  let instance: Instance | undefined;
  try {
    instance = await crew.add(release, { signal });
    crew.setCanary(kind, instance.name);
    return { instance, split: await view.setSplit(kind.name, splitOf(regular, release.version, share)) };
  } catch (error) {
    if (instance !== undefined) await crew.end(instance.name);
    crew.setCanary(kind, undefined);
    // A split that stays sends all calls to those that are there.
    await view.clearSplit(kind.name).catch(() => undefined);
    throw error;
  }
}

function splitOf(regular: string, version: string, { percent, headers }: CanaryShare): TrafficSplit {
  return {
    headerMatches: headers.map((match) => ({ ...match, version })),
    weights: [
      { version: regular, percent: 100 - percent },
      { version, percent },
    ],
  };
}

/** Ends the canary of a kind, and then its share of the calls, which goes to the others meanwhile. Can be repeated. */
export async function endCanary({ crew, view }: CanaryDeps, kind: Kind): Promise<void> {
  const canary = crew.canary(kind);
  if (canary !== undefined) await crew.end(canary.name);
  crew.setCanary(kind, undefined);
  await view.clearSplit(kind.name);
}
