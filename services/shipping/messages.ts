import type { Parcel as ParcelMessage, Shipment as ShipmentMessage } from "#gen/shop/shipping/v1/shipment.ts";
import { Direction, Parcel_State, Scan_Kind, Shipment_State, Speed, Vehicle } from "#gen/shop/shipping/v1/shipment.ts";
import {
  expectedTime,
  isFinalParcel,
  MAX_SCANS,
  type Parcel,
  type ParcelState,
  type ScanKind,
  type ShipmentState,
  scanKinds,
} from "./domain-shipment.ts";
import type { ShipmentRow } from "./store.ts";

/** A shipment as the contract shows it. */
export function shipmentMessage(row: ShipmentRow): ShipmentMessage {
  return {
    id: row.id,
    orderId: row.orderId,
    customerId: row.customerId,
    direction: Direction[row.direction],
    returnId: row.returnId,
    state: Shipment_State[row.state],
    speed: Speed[row.speed],
    address: row.address,
    parcels: row.parcels.map((parcel) => parcelMessage(parcel, row)),
    estimatedDeliveryTime: expectedTime(row),
    createTime: row.createTime,
    updateTime: row.updateTime,
  };
}

/** A parcel as the contract shows it. */
export function parcelMessage(parcel: Parcel, shipment: Pick<ShipmentRow, "id" | "promisedTime">): ParcelMessage {
  return {
    id: parcel.id,
    shipmentId: shipment.id,
    state: Parcel_State[parcel.state],
    lines: parcel.lines,
    weightGrams: parcel.weightGrams,
    legs: parcel.legs.map((leg) => ({ ...leg, vehicle: Vehicle[leg.vehicle] })),
    estimatedDeliveryTime: isFinalParcel(parcel.state) ? undefined : (parcel.expectedTime ?? shipment.promisedTime),
    scans: parcel.scans.slice(-MAX_SCANS).map((scan) => ({ ...scan, kind: Scan_Kind[scan.kind] })),
  };
}

const shipmentStates: readonly ShipmentState[] = ["BOOKED", "IN_TRANSIT", "DELIVERED", "RETURNED", "CANCELLED"];

/** The state of a shipment that a number of the contract names; undefined for the unspecified one. */
export function shipmentStateOf(state: Shipment_State): ShipmentState | undefined {
  return shipmentStates.find((name) => Shipment_State[name] === state);
}

const parcelStates: readonly ParcelState[] = [
  "BOOKED",
  "SORTED",
  "LOADED",
  "OUT_FOR_DELIVERY",
  "FAILED",
  "DELIVERED",
  "RETURNED",
  "CANCELLED",
];

/** The same of a parcel. */
export function parcelStateOf(state: Parcel_State): ParcelState | undefined {
  return parcelStates.find((name) => Parcel_State[name] === state);
}

/** The kind of a scan. Throws for the unspecified one, which the contract does not let in. */
export function scanKindOf(kind: Scan_Kind): ScanKind {
  const name = scanKinds.find((one) => Scan_Kind[one] === kind);
  if (name === undefined) throw new TypeError("a scan without a kind passed validation");
  return name;
}
