import { lookup as systemLookup } from "node:dns/promises";
import type { Logger } from "pino";
import { type Cluster, type EndpointSource, parseAddress, plainCluster } from "#mesh/discovery/endpoints.ts";

/** Finds services by names that the network resolves: each address of a name is an instance. */
export interface DnsEndpoints extends EndpointSource {
  close(): void;
}

export interface DnsOptions {
  /** The name and port of each service: `{service}.shop.svc.cluster.local:9000`. */
  readonly target: string;
  readonly log: Pick<Logger, "warn">;
  /** All addresses of a name; the system's own look-up unless given. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
}

/** How often names are looked up; so long a new instance waits for its first call, and no longer. */
const LOOKUP_EVERY_MS = 5_000;

/**
 * Looks the names of all watched services up again and again. Whatever is found is kept until another answer comes: a
 * name server that fails loses nobody. grpc-js has a resolver of its own for `dns:`, which looks again only when a
 * connection breaks, and so would not see that a service was scaled.
 */
export function dnsEndpoints({ target, log, lookup = systemAddresses }: DnsOptions): DnsEndpoints {
  const services = new Map<string, Watched>();
  let closed = false;

  const look = async (owner: string, watched: Watched): Promise<void> => {
    if (watched.looking) return;
    watched.looking = true;
    const { host, port } = parseAddress(target.replace("{service}", owner));
    try {
      const addresses = [...(await lookup(host))].sort();
      if (closed) return;
      watched.failing = false;
      if (watched.cluster !== undefined && addresses.join() === watched.addresses) return;
      watched.addresses = addresses.join();
      tell(watched, plainCluster(addresses.map((address) => ({ host: address, port }))));
    } catch (error) {
      if (!watched.failing) log.warn({ owner, host, err: error }, "a service's name cannot be looked up");
      watched.failing = true;
      // Callers are not held for a name that nobody knows.
      if (watched.cluster === undefined) tell(watched, plainCluster([]));
    } finally {
      watched.looking = false;
    }
  };
  const tell = (watched: Watched, cluster: Cluster): void => {
    watched.cluster = cluster;
    if (!closed) for (const listener of watched.listeners) listener(cluster);
  };
  const timer = setInterval(() => {
    for (const [owner, watched] of services) void look(owner, watched);
  }, LOOKUP_EVERY_MS).unref();

  return {
    watch(owner, listener) {
      let watched = services.get(owner);
      if (watched === undefined) {
        watched = { listeners: new Set(), addresses: "", cluster: undefined, failing: false, looking: false };
        services.set(owner, watched);
        void look(owner, watched);
      }
      const { listeners, cluster } = watched;
      listeners.add(listener);
      if (cluster !== undefined) listener(cluster);
      return () => listeners.delete(listener);
    },
    close() {
      closed = true;
      clearInterval(timer);
    },
  };
}

interface Watched {
  readonly listeners: Set<(cluster: Cluster) => void>;
  addresses: string;
  cluster: Cluster | undefined;
  failing: boolean;
  /** Whether an answer is awaited. */
  looking: boolean;
}

async function systemAddresses(host: string): Promise<readonly string[]> {
  return (await systemLookup(host, { all: true })).map(({ address }) => address);
}
