import type { Logger } from "pino";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { startChanges } from "#mesh/changes.ts";
import type { Clock } from "#mesh/clock.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type CourierTimings, startCourier } from "./courier.ts";
import { createFeed, startFeedSweep } from "./feed.ts";
import { shippingHandlers } from "./handlers.ts";
import { startMissedTours } from "./missed-tours.ts";
import { followNetwork } from "./network.ts";
import { createRates } from "./rates.ts";
import { startSorter } from "./sorter.ts";
import { getChangedShipments, type ShipmentRow } from "./store.ts";

export interface ShippingParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly log: Logger;
  readonly sealingKey: Uint8Array;
  readonly currencyCode: string;
  /** Whether parcels move along by themselves. */
  readonly courier: "simulated" | "off";
  readonly courierTimings?: CourierTimings;
}

/** Joins the parts of the service, and starts to sort what is booked. The database stays its owner's. */
export async function startShipping(parts: ShippingParts): Promise<{
  readonly implementations: readonly Implementation[];
  close(): Promise<void>;
}> {
  const { db, clock, newId, log, currencyCode } = parts;
  const network = await followNetwork({ db, log });
  const rates = createRates({ key: parts.sealingKey, clock });
  const changes = startChanges({ name: "shipments", read: (known) => getChangedShipments(db, known), log });
  const feed = createFeed();
  const tell = (shipment: ShipmentRow): void => {
    changes.publish(shipment);
    feed.changed();
  };
  const background = { db, clock, newId, network, tell, log };
  const sorter = startSorter(background);
  const courier =
    parts.courier === "simulated" ? startCourier({ ...background, timings: parts.courierTimings }) : undefined;
  const missed = startMissedTours({ ...background, sorter });
  const sweep = startFeedSweep({ db, clock, log });
  const handlers = shippingHandlers({
    ...background,
    ...{ changes, feed, sorter, currencyCode, sealRate: rates.seal, openRate: rates.open },
  });
  return {
    implementations: [implement(ShippingService, handlers)],
    close: async () => {
      feed.close();
      await Promise.all([sorter, missed, courier, sweep, network, changes].map((part) => part?.close()));
    },
  };
}
