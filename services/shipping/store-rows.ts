import type { VehicleKind } from "./domain-network.ts";
import { inTime, type Leg, type Parcel, type ParcelState, type Scan, type ScanKind } from "./domain-shipment.ts";

// A shipment with all that belongs to it comes in one statement, so that it is as of one moment: its parcels as JSON.

const LEGS = `(select coalesce(jsonb_agg(jsonb_build_object('fromDepot', l.from_depot, 'toDepot', l.to_depot,
    'vehicle', l.vehicle, 'tourId', l.tour_id, 'departTime', l.depart_time) order by l.position), '[]')
  from parcel_legs l where l.parcel_id = p.id)`;

const SCANS = `(select jsonb_agg(jsonb_build_object('kind', c.kind, 'scanTime', c.scan_time, 'recordTime', c.record_time,
    'depot', c.depot, 'note', c.note)) from scans c where c.parcel_id = p.id)`;

const FIELDS = `'id', p.id, 'state', p.state, 'skus', p.skus, 'quantities', p.quantities, 'weightGrams', p.weight_grams,
  'volumeMl', p.volume_ml, 'lengthMm', p.length_mm, 'expectedTime', p.expected_time, 'legs', ${LEGS}`;

/** The parcels of shipment `s`. */
export const PARCELS = `(select jsonb_agg(jsonb_build_object(${FIELDS}, 'scans', ${SCANS}) order by p.position)
  from parcels p where p.shipment_id = s.id)`;

/** Parcel `p`, without what was scanned. */
export const PARCEL = `jsonb_build_object(${FIELDS})`;

/** The same of shipment `s`. */
export const PARCELS_WITHOUT_SCANS = `(select jsonb_agg(${PARCEL} order by p.position)
  from parcels p where p.shipment_id = s.id)`;

/** A parcel as PostgreSQL makes it. */
export interface ParcelJson {
  readonly id: string;
  readonly state: ParcelState;
  readonly skus: readonly string[];
  readonly quantities: readonly number[];
  readonly weightGrams: number;
  readonly volumeMl: number;
  readonly lengthMm: number;
  readonly expectedTime: string | null;
  readonly legs: readonly LegJson[];
  readonly scans?: readonly ScanJson[] | null;
}

interface LegJson extends Omit<Leg, "vehicle" | "departTime"> {
  readonly vehicle: VehicleKind;
  readonly departTime: string;
}

interface ScanJson {
  readonly kind: ScanKind;
  readonly scanTime: string;
  readonly recordTime: string;
  readonly depot: string;
  readonly note: string;
}

/** The parcel. */
export function parcelOf({ skus, quantities, expectedTime, legs, scans, ...rest }: ParcelJson): Parcel {
  return {
    ...rest,
    lines: skus.map((sku, at) => ({ sku, quantity: BigInt(quantities[at] ?? 0) })),
    expectedTime: expectedTime === null ? undefined : new Date(expectedTime),
    legs: legs.map((leg) => ({ ...leg, departTime: new Date(leg.departTime) })),
    scans: (scans ?? []).map(scanOf).toSorted(inTime),
  };
}

function scanOf({ scanTime, recordTime, ...rest }: ScanJson): Scan {
  return { ...rest, scanTime: new Date(scanTime), recordTime: new Date(recordTime) };
}
