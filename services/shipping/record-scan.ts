import type { RecordScanRequest, RecordScanResponse } from "#gen/shop/shipping/v1/shipping_service.ts";
import { invalidArgument } from "#mesh/contract/errors.ts";
import { once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { isFinalShipment, type ParcelScan, returnedLines, type ScansOutcome, takeScans } from "./domain-shipment.ts";
import { fail } from "./errors.ts";
import { parcelMessage, scanKindOf } from "./messages.ts";
import * as store from "./store.ts";
import { writeScans } from "./store-write.ts";

/** How far a scanner's clock may be ahead of ours, and how late a scan may come. */
const MAX_AHEAD_MS = 60_000;
const MAX_LATE_MS = 30 * 24 * 3_600_000;

/** Takes in what a scanner saw. */
export const recordScan =
  (deps: Deps) =>
  async (request: RecordScanRequest, call: Call): Promise<RecordScanResponse> => {
    const { parcelId, depot, note } = request;
    let changed: store.ShipmentRow | undefined;
    const response = await once(deps.db, call, request, deps.clock, async (tx): Promise<RecordScanResponse> => {
      const recordTime = deps.clock.now();
      const scanTime = checkedTime(request, recordTime);
      checkDepot(deps, depot);
      const row = await store.lockShipmentOf(tx, parcelId);
      if (row === undefined) throw fail("PARCEL_NOT_FOUND", "There is no such parcel.");
      tx.about(row.customerId);
      const scan = { kind: scanKindOf(request.kind), scanTime, recordTime, depot, note };
      const outcome = await takeIn(deps, tx, row, [{ parcelId, scan }]);
      changed = outcome.shipment;
      const parcel = changed.parcels.find(({ id }) => id === parcelId);
      return { parcel: parcel && parcelMessage(parcel, row), effective: outcome.effective.length > 0 };
    });
    if (changed !== undefined) deps.tell(changed);
    return response;
  };

/** Takes scans in for a locked shipment: whatever reads parcels, be it a person's scanner or the simulated courier. */
export async function takeIn(
  { clock, newId }: Pick<Deps, "clock" | "newId">,
  tx: Transaction,
  shipment: store.ShipmentRow,
  scans: readonly ParcelScan[],
): Promise<ScansOutcome<store.ShipmentRow>> {
  const outcome = takeScans(shipment, scans, clock.now());
  if (outcome.kept.length === 0) return outcome;
  const { state, parcels } = outcome.shipment;
  const back = isFinalShipment(state) ? returnedLines(parcels) : [];
  const event = state === shipment.state ? undefined : { id: newId("sev"), returnedLines: back };
  await writeScans(tx, { changed: outcome.shipment, scans: outcome.kept, event });
  return outcome;
}

function checkedTime({ scanTime }: RecordScanRequest, now: Date): Date {
  if (scanTime === undefined) throw new TypeError("a scan without a time passed validation");
  const aheadMs = scanTime.getTime() - now.getTime();
  if (aheadMs <= MAX_AHEAD_MS && -aheadMs <= MAX_LATE_MS) return scanTime;
  const description = "must be at most a minute ahead and at most 30 days ago";
  throw invalidArgument([{ field: "scan_time", description, reason: "scan_time.range" }]);
}

function checkDepot({ network }: Deps, depot: string): void {
  if (depot === "" || network.current().depots.some(({ id }) => id === depot)) return;
  throw invalidArgument([{ field: "depot", description: "must be one of the shop's depots", reason: "depot.known" }]);
}
