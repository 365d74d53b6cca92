import { type Cluster, type EndpointSource, plainCluster } from "#mesh/discovery/endpoints.ts";
import { random } from "#mesh/random.ts";
import { chooseFaults, type Injection } from "#mesh/rpc/faults.ts";

/** What a caller knows of the services that it calls, by their folders. */
export interface Targets {
  /** The faults that a call of this workload meets; undefined, and cheap, when there is none. */
  faultsOf(owner: string, path: string): Injection | undefined;
  /** Whether a service has an instance beside the one that has a call, to which another attempt could go. */
  hasOthers(owner: string): boolean;
  close(): void;
}

/** Follows each service from the first call to it on. */
export function followTargets(endpoints: EndpointSource, caller: string): Targets {
  const clusters = new Map<string, Cluster>();
  const unwatch: (() => void)[] = [];
  const follow = (owner: string): Cluster => {
    clusters.set(owner, nowhere);
    unwatch.push(endpoints.watch(owner, (cluster) => clusters.set(owner, cluster)));
    return clusters.get(owner) ?? nowhere;
  };
  return {
    faultsOf(owner, path) {
      const { faults } = clusters.get(owner) ?? follow(owner);
      return faults.length === 0 ? undefined : chooseFaults(faults, { caller, path }, random);
    },
    hasOthers: (owner) => (clusters.get(owner) ?? follow(owner)).endpoints.length > 1,
    close() {
      for (const end of unwatch.splice(0)) end();
    },
  };
}

const nowhere = plainCluster([]);
