import { type ChannelOptions, experimental } from "@grpc/grpc-js";
import { balancing } from "#mesh/discovery/balancing-config.ts";
import type { Cluster, EndpointSource } from "#mesh/discovery/endpoints.ts";
import { createRouting, type Routing } from "#mesh/discovery/routing.ts";

/** What a channel to `mesh:///<owner>` must be told, in its options. */
export interface Discovery {
  readonly endpoints: EndpointSource;
}

const SCHEME = "mesh";
// Options with this prefix do not become part of a connection's identity.
const DISCOVERY_OPTION = `${experimental.SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX}.shopmesh_discovery`;

/** The target under which a service is reached, wherever its instances are. */
export function targetOf(owner: string): string {
  return `${SCHEME}:///${owner}`;
}

/** The channel options by which targets `mesh:///…` resolve through `discovery`. */
export function discoveryOptions(discovery: Discovery): ChannelOptions {
  return { [DISCOVERY_OPTION]: discovery };
}

/**
 * Feeds the instances of one service to a channel: those that are known when the channel first asks, and then every
 * change. That the channel asks again, as it does whenever a connection closes, is deliberately ignored: an answer
 * would make it reconnect and ask at once again, and the process would do nothing else.
 */
class MeshResolver implements experimental.Resolver {
  readonly #owner: string;
  readonly #discovery: Discovery;
  readonly #listener: experimental.ResolverListener;
  readonly #routing: Routing;
  #stop: (() => void) | undefined;

  constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener, options: ChannelOptions) {
    this.#owner = target.path;
    this.#listener = listener;
    // Channels with this scheme are made with `discoveryOptions` alone.
    this.#discovery = options[DISCOVERY_OPTION] as Discovery;
    this.#routing = createRouting();
  }

  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return target.path;
  }

  updateResolution(): void {
    if (this.#stop !== undefined) return;
    let watching = true;
    const unwatch = this.#discovery.endpoints.watch(this.#owner, (cluster) => {
      // A resolver may not call back while it is being called.
      process.nextTick(() => {
        if (watching) this.#push(cluster);
      });
    });
    this.#stop = () => {
      watching = false;
      unwatch();
    };
  }

  #push(cluster: Cluster): void {
    const endpoints = cluster.endpoints.map(({ host, port, version }) => ({ addresses: [{ host, port }], version }));
    const versions = this.#routing.follow(cluster);
    const config = { loadBalancingConfig: [balancing(versions)], methodConfig: [] };
    const attributes = { [experimental.CHANNEL_ARGS_CONFIG_SELECTOR_KEY]: this.#routing.selector };
    const { statusOrFromValue } = experimental;
    const note = `no instance of ${this.#owner} is known`; // read when there is none
    this.#listener(statusOrFromValue(endpoints), attributes, statusOrFromValue(config), note);
  }

  destroy(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}

experimental.registerResolver(SCHEME, MeshResolver);
