import type { Logger } from "pino";
import { DiscoveryService } from "#gen/mesh/v1/discovery_service.contract.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import { repeat } from "#mesh/repeat.ts";
import { SHUTDOWN_BOUNDS, type ShutdownBounds } from "#mesh/rpc/server-shutdown.ts";
import { createBulletin, firstVersionOf, nextTerm } from "./discovery/domain.ts";
import { clusterOf, discoveryHandlers, tooManyWatchers } from "./discovery/handlers.ts";
import { createPublisher } from "./discovery/publisher.ts";
import { takeFolder } from "./files/folder.ts";
import { createRegistry, type Moment } from "./registry/domain.ts";
import { registrationFailures, registryHandlers } from "./registry/handlers.ts";
import { createRegistrations } from "./registry/registrations.ts";
import { snapshotFile } from "./registry/snapshot.ts";
import { createSnapshotWriter } from "./registry/snapshot-writer.ts";
import { trafficHandlers } from "./traffic/handlers.ts";
import { openTrafficRules } from "./traffic/rules.ts";

/** Streams have no end of their own, and whoever holds one comes back: nothing is gained by waiting for them. */
export const CONTROL_SHUTDOWN_BOUNDS: ShutdownBounds = { ...SHUTDOWN_BOUNDS, streamsMs: 0 };
/** How often leases and rules are looked at: so much later than its time a lease ends at the most. */
const TICK_MS = 500;

export interface ControlOptions {
  /** Where the state is kept. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** A clock that is never set, in milliseconds. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
}

/** The control plane of a mesh, but for its listeners. */
export interface Control {
  /** What is served on the mesh. */
  readonly services: readonly Implementation[];
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
  const { clock, log } = options;
  const folder = await takeFolder(options.dataDir);
  const now = (): Moment => ({ ms: options.monotonicMs(), time: clock.now() });
  const file = snapshotFile(folder.path);
  const before = await file.read();
  const term = nextTerm(before?.term ?? 0, clock.now());
  const registry = createRegistry(before?.instances ?? [], now());
  const snapshot = () => ({ term, instances: registry.handedOut() });
  // On disk before the first version is given out, so that no later term begins below it.
  await file.write(snapshot());

  const publisher = createPublisher({
    bulletin: createBulletin(firstVersionOf(term)),
    resourcesOf(services) {
      const inForce = rules.at(clock.now());
      return { clusters: [...services].map((name) => clusterOf(name, registry, inForce)), trust: undefined };
    },
    tooMany: tooManyWatchers,
  });
  const rules = await openTrafficRules(folder.path, (services) =>
    publisher.changed([...services].map((service) => ({ service }))),
  );
  const writer = createSnapshotWriter({ write: () => file.write(snapshot()), log });
  const failures = registrationFailures;
  const registrations = createRegistrations({ registry, publisher, now, onChange: writer.changed, failures, log });
  const tick = async (): Promise<void> => {
    registrations.expire();
    await rules.expire(clock.now());
  };
  const ticking = repeat({ name: "control-tick", everyMs: TICK_MS, log }, tick);
  return {
    services: [
      implement(RegistryService, registryHandlers({ registry, registrations })),
      implement(DiscoveryService, discoveryHandlers(publisher)),
      implement(TrafficService, trafficHandlers({ rules, registry, clock })),
    ],
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
