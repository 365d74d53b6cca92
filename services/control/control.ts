import type { Logger } from "pino";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import { DiscoveryService } from "#gen/mesh/v1/discovery_service.contract.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import type { CertificateSource } from "#mesh/identity/certificates.ts";
import { repeat } from "#mesh/repeat.ts";
import { CONTROL_KEEPALIVE, type ListenerLimits } from "#mesh/rpc/limits.ts";
import type { ShutdownBounds } from "#mesh/rpc/server-shutdown.ts";
import { openAuthority } from "./authority/authority.ts";
import { certificateHandlers } from "./authority/handlers.ts";
import { openJoinTokens } from "./authority/join-tokens.ts";
import { createBulletin, firstVersionOf, nextTerm, subjectsOf } from "./discovery/domain.ts";
import { clusterOf, discoveryHandlers, tooManyWatchers, trustOf } from "./discovery/handlers.ts";
import { createPublisher } from "./discovery/publisher.ts";
import { type Folder, takeFolder } from "./files/folder.ts";
import { createRegistry, type Moment, type Registry } from "./registry/domain.ts";
import { registrationFailures, registryHandlers } from "./registry/handlers.ts";
import { createRegistrations } from "./registry/registrations.ts";
import { snapshotFile } from "./registry/snapshot.ts";
import { createSnapshotWriter, type SnapshotWriter } from "./registry/snapshot-writer.ts";
import { trafficHandlers } from "./traffic/handlers.ts";
import { openTrafficRules } from "./traffic/rules.ts";

/**
 * Streams have no end of their own, whoever holds one comes back, and calls take milliseconds: nothing is gained by
 * waiting. Whoever does not read what ends a stream keeps nobody from a restart.
 */
export const CONTROL_SHUTDOWN_BOUNDS: ShutdownBounds = { streamsMs: 0, callsMs: 1_000, connectionsMs: 1_500 };
/**
 * Room for the streams of 1,000 instances and 1,000 watchers, of one service as many as half of them. Their connections
 * live as long as they do: there is one control plane, and nothing to spread anew over.
 */
export const CONTROL_LIMITS: ListenerLimits = {
  streams: 2_100,
  streamsPerClient: 1_000,
  connections: 2_500,
  connectionAgeMs: undefined,
  keepalive: CONTROL_KEEPALIVE,
};
/** How often leases and rules are looked at: so much later than its time a lease ends at the most. */
const TICK_MS = 500;

export interface ControlOptions {
  /** Where the state is kept. */
  readonly dataDir: string;
  /** The join secret of the mesh, 32 bytes in hex, from which join tokens are made. */
  readonly joinSecret: string;
  /** How long a certificate is good for. */
  readonly certificateLifetimeMs: number;
  readonly clock: Clock;
  /** A clock that is never set, in milliseconds. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
}

/** The control plane of a mesh, but for its listeners. */
export interface Control {
  /** What is served on the mesh. */
  readonly services: readonly Implementation[];
  /** What is served to those who have no certificate yet. */
  readonly joinServices: readonly Implementation[];
  /** The control plane's own. */
  readonly certificates: CertificateSource;
  /** Ends what has run out by now. It does so by itself twice a second. */
  tick(): Promise<void>;
  /** From now on a stream that ends is no instance that does. To be called before the listeners close. */
  freeze(): void;
  /** Writes what is not yet on disk, and gives the folder back. After `freeze`. */
  close(): Promise<void>;
}

/**
 * Opens a control plane on its folder, with what it knew before. Throws a `StateFileError` when the folder is in use or a
 * file in it is broken.
 */
export async function openControl(options: ControlOptions): Promise<Control> {
  const folder = await takeFolder(options.dataDir);
  try {
    return await openIn(folder, options);
  } catch (error) {
    await folder.release();
    throw error;
  }
}

async function openIn(folder: Folder, options: ControlOptions): Promise<Control> {
  const { clock, log } = options;
  const now = (): Moment => ({ ms: options.monotonicMs(), time: clock.now() });
  const { registry, term, writer } = await openRegistry(folder, now(), log);
  const publisher = createPublisher({
    bulletin: createBulletin(firstVersionOf(term)),
    clusterOf: (service) => clusterOf(service, registry, rules.at(clock.now())),
    trust: () => trustOf(authority),
    tooMany: tooManyWatchers,
  });
  const rules = await openTrafficRules(folder.path, (services) => publisher.changed(subjectsOf(services)));
  const authority = await openAuthority({
    folder: folder.path,
    clock,
    lifetimeMs: options.certificateLifetimeMs,
    onChange: () => publisher.changed(["trust"]),
    isKnown: () => publisher.isKnown("trust"),
    log,
  });
  const tokens = await openJoinTokens(folder.path, options.joinSecret);
  const failures = registrationFailures;
  const registrations = createRegistrations({ registry, publisher, now, onChange: writer.changed, failures, log });
  const tick = async (): Promise<void> => {
    registrations.expire();
    await Promise.all([rules.expire(clock.now()), authority.tick()]);
  };
  const ticking = repeat({ name: "control-tick", everyMs: TICK_MS, log }, tick);
  const certificates = implement(CertificateService, certificateHandlers({ authority, tokens, clock }));
  return {
    services: [
      implement(RegistryService, registryHandlers({ registry, registrations })),
      implement(DiscoveryService, discoveryHandlers(publisher)),
      implement(TrafficService, trafficHandlers({ rules, registry, clock })),
      certificates,
    ],
    joinServices: [certificates],
    certificates: authority.certificates,
    tick,
    freeze: () => registrations.freeze(),
    async close() {
      publisher.close();
      await ticking.close();
      await writer.close();
      await folder.release();
    },
  };
}

interface OpenRegistry {
  readonly registry: Registry;
  /** Which life of the control plane this is. */
  readonly term: number;
  readonly writer: SnapshotWriter;
}

async function openRegistry({ path }: Folder, now: Moment, log: Logger): Promise<OpenRegistry> {
  const file = snapshotFile(path);
  const before = await file.read();
  const term = nextTerm(before?.term ?? 0, now.time);
  const registry = createRegistry(before?.instances ?? [], now);
  const write = (): Promise<void> => file.write({ term, instances: registry.handedOut() });
  const writer = createSnapshotWriter({ write, log });
  // On disk before the first version is given out, so that no later term begins below it. A disk that does not take it
  // keeps nobody from coming back: by the clock the next term is above this one all the same.
  await writer.written();
  return { registry, term, writer };
}
