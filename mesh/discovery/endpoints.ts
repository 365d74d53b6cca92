import type { TrafficFault, TrafficSplit } from "#gen/mesh/v1/discovery_service.ts";

/** One instance of a service. What an address in a table cannot tell is left out: its name and its version. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** `cart-2` */
  readonly instance?: string;
  /** By which splits of traffic know it. */
  readonly version?: string;
}

/** Where the instances of one service are, and how calls get there. */
export interface Cluster {
  /** The instances that take calls. */
  readonly endpoints: readonly Endpoint[];
  /** How calls are divided between versions; undefined when all instances take turns. */
  readonly split?: TrafficSplit;
  /** What its callers inject into their calls to it. */
  readonly faults: readonly TrafficFault[];
}

/** Knows where the instances of each service are. */
export interface EndpointSource {
  /**
   * Tells `listener` of a service: once before `watch` returns, when something is known by then, and at every change,
   * each time the whole. No endpoints when there is no instance. Returns what ends the telling.
   */
  watch(owner: string, listener: (cluster: Cluster) => void): () => void;
}

/** Instances that are known by their addresses alone, without rules. */
export function plainCluster(endpoints: readonly Endpoint[]): Cluster {
  return { endpoints, faults: [] };
}

/** Instances from a table of `host:port` that never changes. Throws when an address is not one. */
export function staticEndpoints(targets: Readonly<Record<string, readonly string[]>>): EndpointSource {
  const table = new Map(
    Object.entries(targets).map(([owner, addresses]) => [owner, plainCluster(addresses.map(parseAddress))]),
  );
  return {
    watch(owner, listener) {
      listener(table.get(owner) ?? plainCluster([]));
      return () => {};
    },
  };
}

/** Services that `table` names are found there, and all others through `below`. */
export function overlay(table: Readonly<Record<string, readonly string[]>>, below: EndpointSource): EndpointSource {
  const above = staticEndpoints(table);
  return {
    watch: (owner, listener) => (Object.hasOwn(table, owner) ? above : below).watch(owner, listener),
  };
}

/** Reads `host:port`; an IPv6 host stands in brackets. */
export function parseAddress(address: string): Endpoint {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^\s:[\]]+)):(?<port>\d{1,5})$/.exec(address);
  const host = match?.groups?.v6 ?? match?.groups?.host;
  const port = Number(match?.groups?.port);
  if (host === undefined || port < 1 || port > 65_535) throw new TypeError(`not host:port: ${JSON.stringify(address)}`);
  return { host, port };
}
