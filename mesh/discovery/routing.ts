import { type experimental, type MethodConfig, status } from "@grpc/grpc-js";
import type { TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";
import { VERSION_KEY } from "#mesh/discovery/balancer.ts";
import type { Cluster } from "#mesh/discovery/endpoints.ts";
import { chooseVersion } from "#mesh/discovery/route-rules.ts";
import { random } from "#mesh/random.ts";

/** How the calls of one channel are sent on their way. */
export interface Routing {
  /** Chooses the version of each call. Always the same object: by another, the channel would open all connections anew. */
  readonly selector: experimental.ConfigSelector;
  /** Goes by what is known of the service now. Returns the versions that can be chosen; all of them have instances. */
  follow(cluster: Cluster): ReadonlySet<string>;
}

/**
 * Deadlines, retries and hedges are set on each call (mesh/rpc/attempts.ts). grpc-js tries again by itself only what never
 * left, or was refused unread.
 */
const methodConfig: MethodConfig = { name: [] };
const anywhere = { methodConfig, pickInformation: {}, status: status.OK, dynamicFilterFactories: [] };

export function createRouting(): Routing {
  let split: TrafficSplit | undefined;
  let there: ReadonlySet<string> = new Set();
  return {
    selector: {
      invoke(_, metadata) {
        if (split === undefined) return anywhere;
        const header = (name: string): string | undefined => metadata.get(name)[0]?.toString();
        const version = chooseVersion(split, there, { header, random: random() });
        return version === undefined ? anywhere : { ...anywhere, pickInformation: { [VERSION_KEY]: version } };
      },
      unref() {},
    },
    follow(cluster) {
      split = cluster.split;
      there = new Set(cluster.endpoints.flatMap(({ version }) => version ?? []));
      const named = [...(split?.headerMatches ?? []), ...(split?.weights ?? [])].map(({ version }) => version);
      return new Set(named.filter((version) => there.has(version)));
    },
  };
}
