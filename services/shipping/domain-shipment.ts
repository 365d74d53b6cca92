import type { Speed, VehicleKind } from "./domain-network.ts";
import type { ParcelLine } from "./domain-packing.ts";

export type Direction = "OUTBOUND" | "RETURN";
export type ShipmentState = "BOOKED" | "IN_TRANSIT" | "DELIVERED" | "RETURNED" | "CANCELLED";
export type ParcelState =
  | "BOOKED"
  | "SORTED"
  | "LOADED"
  | "OUT_FOR_DELIVERY"
  | "FAILED"
  | "DELIVERED"
  | "RETURNED"
  | "CANCELLED";
export type ScanKind = "SORTED" | "LOADED" | "OUT_FOR_DELIVERY" | "DELIVERED" | "FAILED" | "RETURNED";

/** What somebody saw of a parcel. The depot is empty on the road. */
export interface Scan {
  readonly kind: ScanKind;
  readonly scanTime: Date;
  readonly recordTime: Date;
  readonly depot: string;
  readonly note: string;
}

/** A part of a parcel's way. An empty depot stands for the address. */
export interface Leg {
  readonly fromDepot: string;
  readonly toDepot: string;
  readonly vehicle: VehicleKind;
  readonly tourId: string;
  readonly departTime: Date;
}

export interface Parcel {
  readonly id: string;
  readonly state: ParcelState;
  readonly lines: readonly ParcelLine[];
  readonly weightGrams: number;
  readonly volumeMl: number;
  readonly lengthMm: number;
  /** Undefined as long as it has no tours. */
  readonly expectedTime: Date | undefined;
  readonly legs: readonly Leg[];
  /** In the order in which they happened. */
  readonly scans: readonly Scan[];
}

export interface Shipment {
  readonly id: string;
  readonly orderId: string;
  /** Empty when it goes to the buyer. */
  readonly returnId: string;
  readonly customerId: string;
  readonly direction: Direction;
  readonly state: ShipmentState;
  readonly speed: Speed;
  readonly zone: string;
  readonly depot: string;
  /** When it is expected as long as no tour says so better. */
  readonly promisedTime: Date;
  readonly version: number;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly parcels: readonly Parcel[];
}

/** After so many failed tries a parcel goes back. */
export const MAX_TRIES = 3;

/** How many scans of a parcel are kept; of those beyond, only such as move it. */
export const MAX_SCANS = 50;

const NEXT_TRY_MS = 24 * 3_600_000;

/** Whether nothing changes it any more. */
export function isFinalParcel(state: ParcelState): boolean {
  return state === "DELIVERED" || state === "RETURNED" || state === "CANCELLED";
}

/** Whether nothing changes it any more. */
export function isFinalShipment(state: ShipmentState): boolean {
  return state === "DELIVERED" || state === "RETURNED" || state === "CANCELLED";
}

/** Whether it can still be called off. */
export function isBeforeLoading(state: ParcelState): boolean {
  return state === "BOOKED" || state === "SORTED" || state === "CANCELLED";
}

/** What a scan makes of a parcel. */
export interface ScanOutcome {
  readonly parcel: Parcel;
  /** Whether it moved the parcel: to another state, or one try further. */
  readonly effective: boolean;
  /** Whether it is kept for the record: not when it is known, nor when there are too many. */
  readonly kept: boolean;
}

/**
 * Takes in a scan. Where a parcel stands follows from all that was seen of it, in whatever order that was heard of, until
 * it is where it ends: what is heard first of its end holds.
 */
export function takeScan(parcel: Parcel, scan: Scan): ScanOutcome {
  const known = parcel.scans.some((one) => isSame(one, scan));
  if (known) return { parcel, effective: false, kept: false };
  const scans = [...parcel.scans, scan].toSorted(inTime);
  const state = isFinalParcel(parcel.state) ? parcel.state : stateAfter(parcel.state, scans);
  const tried = scan.kind === "FAILED" && !isFinalParcel(parcel.state);
  const effective = state !== parcel.state || tried;
  if (!effective && parcel.scans.length >= MAX_SCANS) return { parcel, effective, kept: false };
  const expectedTime = tried ? later(parcel.expectedTime, scan.scanTime) : parcel.expectedTime;
  return { parcel: { ...parcel, state, scans, expectedTime }, effective, kept: true };
}

/** In the order in which they come in a parcel's life. */
export const scanKinds: readonly ScanKind[] = [
  "SORTED",
  "LOADED",
  "OUT_FOR_DELIVERY",
  "FAILED",
  "DELIVERED",
  "RETURNED",
];

/** As they happened; what cannot have happened at once goes by its place in a parcel's life. */
export function inTime(a: Scan, b: Scan): number {
  return a.scanTime.getTime() - b.scanTime.getTime() || scanKinds.indexOf(a.kind) - scanKinds.indexOf(b.kind);
}

function isSame(a: Scan, b: Scan): boolean {
  return a.kind === b.kind && a.scanTime.getTime() === b.scanTime.getTime();
}

function stateAfter(state: ParcelState, scans: readonly Scan[]): ParcelState {
  const seen = (kind: ScanKind): boolean => scans.some((scan) => scan.kind === kind);
  if (seen("DELIVERED")) return "DELIVERED";
  if (seen("RETURNED")) return "RETURNED";
  if (failedTries(scans) >= MAX_TRIES) return "FAILED";
  const onTheRoad = scans.findLast(({ kind }) => kind === "OUT_FOR_DELIVERY" || kind === "FAILED");
  if (onTheRoad !== undefined) return onTheRoad.kind;
  if (seen("LOADED")) return "LOADED";
  return seen("SORTED") ? "SORTED" : state;
}

/** How often nobody took it. */
export function failedTries(scans: readonly Scan[]): number {
  return scans.filter(({ kind }) => kind === "FAILED").length;
}

function later(expected: Date | undefined, failed: Date): Date {
  const next = failed.getTime() + NEXT_TRY_MS;
  return new Date(Math.max(expected?.getTime() ?? 0, next));
}

/** Where a shipment of parcels in these states stands. */
export function shipmentState(parcels: readonly ParcelState[]): ShipmentState {
  if (parcels.every((state) => state === "CANCELLED")) return "CANCELLED";
  if (parcels.every(isFinalParcel)) return parcels.includes("DELIVERED") ? "DELIVERED" : "RETURNED";
  return parcels.every(isBeforeLoading) ? "BOOKED" : "IN_TRANSIT";
}

/** When the last parcel that is on its way is expected; undefined when none is. */
export function expectedTime({ parcels, promisedTime }: Shipment): Date | undefined {
  const open = parcels.filter(({ state }) => !isFinalParcel(state));
  if (open.length === 0) return undefined;
  return new Date(Math.max(...open.map((parcel) => (parcel.expectedTime ?? promisedTime).getTime())));
}

/** The units in parcels that came back undelivered, by SKU. */
export function returnedLines(parcels: readonly Parcel[]): readonly ParcelLine[] {
  const units = new Map<string, bigint>();
  for (const { sku, quantity } of parcels.filter(({ state }) => state === "RETURNED").flatMap(({ lines }) => lines)) {
    units.set(sku, (units.get(sku) ?? 0n) + quantity);
  }
  return [...units].map(([sku, quantity]) => ({ sku, quantity }));
}

/** A scan, and of which parcel. */
export interface ParcelScan {
  readonly parcelId: string;
  readonly scan: Scan;
}

/** What scans make of a shipment. */
export interface ScansOutcome<S extends Shipment> {
  /** The shipment from now on; the same when nothing was kept. */
  readonly shipment: S;
  readonly kept: readonly ParcelScan[];
  /** Those that moved their parcel. */
  readonly effective: readonly ParcelScan[];
}

/** Takes in scans of a shipment's parcels, one after the other. Scans of other parcels are passed over. */
export function takeScans<S extends Shipment>(shipment: S, scans: readonly ParcelScan[], now: Date): ScansOutcome<S> {
  const parcels = new Map(shipment.parcels.map((parcel) => [parcel.id, parcel]));
  const kept: ParcelScan[] = [];
  const effective: ParcelScan[] = [];
  for (const one of scans) {
    const before = parcels.get(one.parcelId);
    if (before === undefined) continue;
    const taken = takeScan(before, one.scan);
    parcels.set(one.parcelId, taken.parcel);
    if (taken.kept) kept.push(one);
    if (taken.effective) effective.push(one);
  }
  if (kept.length === 0) return { shipment, kept, effective };
  const after = [...parcels.values()];
  const state = shipmentState(after.map((parcel) => parcel.state));
  return {
    shipment: { ...shipment, parcels: after, state, version: shipment.version + 1, updateTime: now },
    kept,
    effective,
  };
}
