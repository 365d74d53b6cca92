import { type Cluster, type EndpointSource, plainCluster } from "./endpoints.ts";

/** A source that tells what a test says. */
export interface MovingEndpoints extends EndpointSource {
  set(cluster: Cluster): void;
  /** How often somebody began to watch. */
  readonly watches: number;
}

/** The same for every service: nobody at first. */
export function movingEndpoints(first: Cluster = plainCluster([])): MovingEndpoints {
  const listeners = new Set<(cluster: Cluster) => void>();
  let known = first;
  let watches = 0;
  return {
    watch(_, listener) {
      watches += 1;
      listeners.add(listener);
      listener(known);
      return () => listeners.delete(listener);
    },
    set(cluster) {
      known = cluster;
      for (const listener of [...listeners]) listener(cluster);
    },
    get watches() {
      return watches;
    },
  };
}
