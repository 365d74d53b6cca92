/** One instance of a service. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Knows where the instances of each service are: now a table, later the control plane. */
export interface EndpointSource {
  /**
   * Tells `listener` the instances of a service: once before `watch` returns, when they are known by then, and at
   * every change. Empty when there is none. Returns what ends the telling.
   */
  watch(owner: string, listener: (endpoints: readonly Endpoint[]) => void): () => void;
}

/** Instances from a table of `host:port` that never changes. Throws when an address is not one. */
export function staticEndpoints(targets: Readonly<Record<string, readonly string[]>>): EndpointSource {
  const table = new Map(Object.entries(targets).map(([owner, addresses]) => [owner, addresses.map(parseAddress)]));
  return {
    watch(owner, listener) {
      listener(table.get(owner) ?? []);
      return () => {};
    },
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
