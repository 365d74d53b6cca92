import type { Logger } from "pino";
import type { EndpointSource } from "#mesh/discovery/endpoints.ts";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import type { CallStats } from "#mesh/rpc/call-stats.ts";
import { createHealth, healthServiceName } from "#mesh/rpc/health.ts";
import { reflectionServiceNames, reflectionServices } from "#mesh/rpc/reflection.ts";
import { followTargets } from "#mesh/rpc/targets.ts";
import { createBackends } from "./backends.ts";
import { watchHealth } from "./health-watch.ts";
import { defaultLimits, type GatewayLimits } from "./limits.ts";
import { type Listener, listen } from "./listener.ts";
import { createLocalServer } from "./local.ts";
import { createRouter } from "./router.ts";
import { createRoutes, type RoutedContract } from "./routes.ts";
import { createShares } from "./shares.ts";
import { createHttp1 } from "./webhooks/http1.ts";
import type { WebhookSink } from "./webhooks/webhook.ts";

export interface GatewayOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** What to listen on instead of these: a public socket that the parent of this process holds. */
  readonly socket?: object | undefined;
  /** The contracts of all services; the public ones are routed. */
  readonly contracts: readonly RoutedContract[];
  /** The services without which the shop as a whole does not serve; all with a public contract by default. */
  readonly needed?: readonly string[] | undefined;
  /** Where the instances of each service are. */
  readonly endpoints: EndpointSource;
  /** Who takes in the events that payment gateways post. */
  readonly payments: WebhookSink;
  /** By which services know the gateway. */
  readonly certificates: CertificateSource;
  /** A serialized google.protobuf.FileDescriptorSet, for reflection; not read before somebody asks. */
  readonly descriptors: () => Uint8Array;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  /** Counts the calls that pass. */
  readonly stats: CallStats;
  readonly limits?: Partial<GatewayLimits>;
}

export interface RunningGateway {
  readonly host: string;
  readonly port: number;
  /** Takes no more calls, finishes the running ones within a bound, and releases everything. Idempotent. */
  close(): Promise<void>;
}

/** The part of the time for shutdown after which running calls are told to come again, rather than cut off. */
const STOP_CALLS_AT = 0.9;

/** Starts the gateway. Rejects with the system's error when its address cannot be listened on. */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const { contracts, endpoints, payments, certificates, stats, descriptors, log, host, port, socket } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const localNames = [healthServiceName, ...reflectionServiceNames];
  const routes = createRoutes(contracts, localNames);
  const health = createHealth([...routes.services, ...localNames]);
  for (const name of localNames) health.setServing(true, name);
  const reflection = reflectionServices({ descriptors, services: [...routes.services, ...localNames] });
  const local = createLocalServer([health.service, ...reflection]);
  const backends = createBackends({ endpoints, certificates, limits, log, openLocal: local.open });
  const places = createShares({ total: limits.maxCalls, perAddress: limits.callsPerAddress });
  const targets = followTargets(endpoints, "gateway");
  const router = createRouter({ routes, backends, places, targets, stats, limits, log });
  const http1 = createHttp1({ payments, places, limits, log });

  const watch = watchHealth({ backends, routes, needed: options.needed, health, retryMs: limits.healthRetryMs });
  const release = (): void => {
    watch.close();
    targets.close();
    backends.close();
    local.close();
  };
  let listener: Listener;
  try {
    // A process that is started beside others must not take calls for services that it has not heard of yet.
    await backends.known(routes.owners, limits.knownMs);
    listener = await listen({ host, port, socket, limits, log, onStream: router.accept, http1 });
  } catch (error) {
    release();
    throw error;
  }
  const shutDown = async (): Promise<void> => {
    watch.close();
    health.close(); // ends its watchers, who would hold the shutdown up
    const timer = setTimeout(() => {
      router.stopCalls();
      http1.stopCalls();
    }, limits.shutdownMs * STOP_CALLS_AT);
    await listener.close();
    clearTimeout(timer);
    release();
  };
  let closing: Promise<void> | undefined;
  return {
    host,
    port: listener.port,
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}
