import type { CancelShipmentRequest, CancelShipmentResponse } from "#gen/shop/shipping/v1/shipping_service.ts";
import { requestIdReused, requestKeyOf, runChange } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { isBeforeLoading } from "./domain-shipment.ts";
import { fail } from "./errors.ts";
import { shipmentMessage } from "./messages.ts";
import type { ShipmentRow } from "./store.ts";
import * as store from "./store.ts";
import { cancelShipment as cancel, findCancelled, lockDepots } from "./store-write.ts";

/** Calls a shipment off, under the lock that scans take: either it is cancelled or it goes. */
export const cancelShipment =
  ({ db, clock, newId, tell }: Deps) =>
  async (request: CancelShipmentRequest, call: Call): Promise<CancelShipmentResponse> => {
    const key = requestKeyOf(call, request);
    const shipment = await runChange(db, call, async (tx): Promise<ShipmentRow> => {
      const [row, cancelledId] = await Promise.all([
        store.lockShipment(tx, request.shipmentId),
        findCancelled(tx, key),
      ]);
      if (cancelledId !== undefined && cancelledId !== request.shipmentId) throw requestIdReused(key.requestId);
      if (row === undefined) throw fail("SHIPMENT_NOT_FOUND", "There is no such shipment.");
      if (row.state === "CANCELLED") return row;
      if (!row.parcels.every(({ state }) => isBeforeLoading(state))) {
        throw fail("ALREADY_LOADED", "A parcel of it is on its way, or further.", { state: row.state });
      }
      await lockDepots(tx, [row.depot]);
      const now = clock.now();
      cancel(tx, { shipment: row, key, event: { id: newId("sev"), returnedLines: [] }, now });
      return cancelled(row, now);
    });
    tell(shipment);
    return { shipment: shipmentMessage(shipment) };
  };

function cancelled(row: ShipmentRow, now: Date): ShipmentRow {
  const parcels = row.parcels.map((parcel) => ({ ...parcel, state: "CANCELLED" as const }));
  return { ...row, state: "CANCELLED", parcels, version: row.version + 1, updateTime: now };
}
