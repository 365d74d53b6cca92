import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import type { DiscoveryService } from "#gen/mesh/v1/discovery_service.contract.ts";
import {
  Cluster as ClusterMessage,
  type StreamResourcesRequest,
  type StreamResourcesResponse,
  type TrustBundle,
} from "#gen/mesh/v1/discovery_service.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Cluster, EndpointSource } from "#mesh/discovery/endpoints.ts";
import { LastingStream, type OpenStream, STREAM_TIMEOUT_MS } from "#mesh/discovery/lasting-stream.ts";
import { createSignal } from "#mesh/discovery/signal.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import type { BackgroundOptions } from "#mesh/rpc/call-context.ts";

/** How control is called. */
export interface ControlClient {
  readonly discovery: Pick<Client<typeof DiscoveryService>, "streamResources">;
  readonly background: (options: BackgroundOptions) => OwnCall;
}

export interface ControlEndpointsOptions {
  /** The name of the process, for control's log. */
  readonly instance: string;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Is told whom to trust, with each response. */
  readonly onTrust?: (bundle: TrustBundle) => void;
}

/**
 * How long nobody is told anything of a service that control was never heard of about. A process that starts beside
 * control has it by then; later, calls are better failed than held.
 */
const PATIENCE_MS = 10_000;

/**
 * What the control plane says of services, by one stream for all that anybody here watches. It is kept for ever: whoever
 * loses control goes on with what it knew.
 */
export class ControlEndpoints implements EndpointSource {
  readonly #options: ControlEndpointsOptions;
  readonly #services = new Map<string, Service>();
  /** Rings when more is wanted, or more is in force. */
  readonly #changed = createSignal();
  readonly #impatient: NodeJS.Timeout;
  #outOfPatience = false;
  #stream: LastingStream | undefined;

  constructor(options: ControlEndpointsOptions) {
    this.#options = options;
    this.#impatient = setTimeout(() => this.#losePatience(), PATIENCE_MS).unref();
  }

  watch(owner: string, listener: (cluster: Cluster) => void): () => void {
    let service = this.#services.get(owner);
    if (service === undefined) {
      service = { listeners: new Set(), bytes: undefined, cluster: this.#outOfPatience ? nowhere : undefined };
      this.#services.set(owner, service);
      this.#changed.ring();
    }
    const { listeners, cluster } = service;
    listeners.add(listener);
    if (cluster !== undefined) listener(cluster);
    return () => listeners.delete(listener);
  }

  /** Follows what control says, until closed. Called once. */
  follow(client: ControlClient): void {
    this.#stream = new LastingStream({
      name: "discovery",
      log: this.#options.log,
      open: (stream) => this.#open(client, stream),
    });
  }

  close(): void {
    clearTimeout(this.#impatient);
    this.#stream?.close();
  }

  async #open({ discovery, background }: ControlClient, { signal, established }: OpenStream): Promise<void> {
    const call = background({ name: "discovery", timeoutMs: STREAM_TIMEOUT_MS, signal });
    const stream = { inForce: 0n, over: false };
    try {
      for await (const response of discovery.streamResources(this.#requests(stream), call)) {
        established();
        this.#apply(response);
        await nextTurn(); // channels take it over at the end of the turn
        stream.inForce = response.version;
        this.#changed.ring();
      }
    } finally {
      stream.over = true;
      this.#changed.ring();
      call.done();
    }
  }

  /** Says what is wanted and what is in force, again each time that either changes, until the stream is over. */
  async *#requests(stream: {
    readonly inForce: bigint;
    readonly over: boolean;
  }): AsyncGenerator<StreamResourcesRequest> {
    let sent: StreamResourcesRequest | undefined;
    while (!stream.over) {
      const rung = this.#changed.next();
      const { instance } = this.#options;
      const now = { services: [...this.#services.keys()], acknowledgedVersion: stream.inForce, instance };
      if (sent !== undefined && isSame(sent, now)) {
        await rung;
      } else {
        sent = now;
        yield now;
      }
    }
  }

  #apply({ clusters, trust }: StreamResourcesResponse): void {
    for (const message of clusters) {
      const service = this.#services.get(message.service);
      const bytes = Buffer.from(ClusterMessage.encode(message).finish());
      if (service !== undefined && service.bytes?.equals(bytes) !== true) {
        service.bytes = bytes;
        tell(service, clusterOf(message));
      }
    }
    if (trust !== undefined) this.#options.onTrust?.(trust);
  }

  /** Control was never heard of: better that calls fail than that they are held. */
  #losePatience(): void {
    this.#outOfPatience = true;
    for (const service of this.#services.values()) if (service.cluster === undefined) tell(service, nowhere);
  }
}

/** What is known of a service, and who wants to know. */
interface Service {
  readonly listeners: Set<(cluster: Cluster) => void>;
  /** As it came, to tell whether it changed. */
  bytes: Buffer | undefined;
  cluster: Cluster | undefined;
}

function tell(service: Service, cluster: Cluster): void {
  service.cluster = cluster;
  for (const listener of [...service.listeners]) listener(cluster);
}

const nowhere: Cluster = { endpoints: [], faults: [] };

function clusterOf({ endpoints, split, faults }: ClusterMessage): Cluster {
  return split === undefined ? { endpoints, faults } : { endpoints, split, faults };
}

/** Services are only ever added. */
function isSame(a: StreamResourcesRequest, b: StreamResourcesRequest): boolean {
  return a.acknowledgedVersion === b.acknowledgedVersion && a.services.length === b.services.length;
}
