import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  expectedTime,
  isBeforeLoading,
  isFinalParcel,
  MAX_SCANS,
  type Parcel,
  type ParcelState,
  returnedLines,
  type Scan,
  type ScanKind,
  type Shipment,
  shipmentState,
  takeScan,
} from "./domain-shipment.ts";

const at = (minute: number): Date => new Date(Date.UTC(2026, 5, 1, 12, minute));
const scan = (kind: ScanKind, minute: number): Scan => ({
  kind,
  scanTime: at(minute),
  recordTime: at(minute),
  depot: "",
  note: "",
});
const booked: Parcel = {
  id: "pcl_1",
  state: "BOOKED",
  lines: [{ sku: "MOTOR", quantity: 2n }],
  weightGrams: 1_000,
  volumeMl: 0,
  lengthMm: 0,
  expectedTime: undefined,
  legs: [],
  scans: [],
};
const takeAll = (scans: readonly Scan[]): Parcel => scans.reduce((parcel, one) => takeScan(parcel, one).parcel, booked);

describe("a parcel", () => {
  it.each<[string, readonly ScanKind[], ParcelState]>([
    ["goes its way", ["SORTED", "LOADED", "OUT_FOR_DELIVERY", "DELIVERED"], "DELIVERED"],
    ["is where a later scan says, when those before are missing", ["OUT_FOR_DELIVERY"], "OUT_FOR_DELIVERY"],
    ["stays loaded when it is sorted again in the next depot", ["LOADED", "SORTED"], "LOADED"],
    ["is tried again when nobody took it", ["OUT_FOR_DELIVERY", "FAILED", "OUT_FOR_DELIVERY"], "OUT_FOR_DELIVERY"],
    ["is not tried a fourth time", ["FAILED", "FAILED", "FAILED", "OUT_FOR_DELIVERY"], "FAILED"],
    ["comes back after three tries", ["FAILED", "FAILED", "FAILED", "RETURNED"], "RETURNED"],
    ["stays where it ended", ["DELIVERED", "RETURNED", "LOADED"], "DELIVERED"],
  ])("%s", (_, kinds, state) => {
    expect(takeAll(kinds.map((kind, minute) => scan(kind, minute))).state).toBe(state);
  });

  it("is moved by what says more than is known, and keeps the rest for the record", () => {
    const loaded = takeAll([scan("LOADED", 5)]);
    expect(takeScan(loaded, scan("SORTED", 3))).toMatchObject({ effective: false, kept: true });
    expect(takeScan(loaded, scan("SORTED", 3)).parcel.scans.map(({ kind }) => kind)).toEqual(["SORTED", "LOADED"]);
    expect(takeScan(loaded, scan("LOADED", 5))).toMatchObject({ effective: false, kept: false });
    expect(takeScan(loaded, scan("FAILED", 6))).toMatchObject({ effective: true, kept: true });
    expect(takeScan(takeAll([scan("FAILED", 6)]), scan("FAILED", 7)).effective).toBe(true);
    expect(takeScan({ ...booked, state: "CANCELLED" }, scan("LOADED", 1))).toMatchObject({
      effective: false,
      parcel: { state: "CANCELLED" },
    });
  });

  it("keeps no more scans than its limit, but all that move it", () => {
    const many = takeAll(Array.from({ length: MAX_SCANS + 9 }, (_, minute) => scan("SORTED", minute)));
    expect(many.scans).toHaveLength(MAX_SCANS);
    expect(takeScan(many, scan("LOADED", 99))).toMatchObject({ effective: true, parcel: { state: "LOADED" } });
  });

  it("is expected a day later when nobody took it", () => {
    expect(takeAll([scan("FAILED", 0)]).expectedTime).toEqual(new Date(at(0).getTime() + 24 * 3_600_000));
  });
});

const kinds = ["SORTED", "LOADED", "OUT_FOR_DELIVERY", "FAILED"] as const;
const anyScan = fc.record({ kind: fc.constantFrom<ScanKind>(...kinds), minute: fc.integer({ min: 0, max: 20 }) });
const anyScans = fc
  .array(anyScan, { minLength: 1, maxLength: 12 })
  .map((all) => all.map((one) => scan(one.kind, one.minute)));

describe("scans in whatever order", () => {
  it("make the same parcel, twice or once", () => {
    const end = fc.constantFrom<ScanKind | undefined>("DELIVERED", "RETURNED", undefined);
    fc.assert(
      fc.property(anyScans, end, fc.infiniteStream(fc.nat()), (scans, kind, dice) => {
        const all = kind === undefined ? scans : [...scans, scan(kind, 30)];
        const shuffled = [...all, ...all]
          .map((one) => ({ one, place: dice.next().value ?? 0 }))
          .toSorted((a, b) => a.place - b.place)
          .map(({ one }) => one);
        expect(takeAll(shuffled).state).toBe(takeAll(all).state);
      }),
    );
  });

  it("never take back what is loaded, and never move what has ended", () => {
    const any = fc
      .tuple(anyScans, fc.constantFrom<ScanKind>("DELIVERED", "RETURNED"))
      .map(([scans, kind]) => [...scans.slice(0, 6), scan(kind, 10), ...scans.slice(6)]);
    fc.assert(
      fc.property(fc.oneof(anyScans, any), (scans) => {
        let parcel = booked;
        for (const one of scans) {
          const next = takeScan(parcel, one);
          expect(next.effective).toBe(next.parcel.state !== parcel.state || (one.kind === "FAILED" && next.effective));
          if (!isBeforeLoading(parcel.state)) expect(isBeforeLoading(next.parcel.state)).toBe(false);
          if (isFinalParcel(parcel.state))
            expect(next).toMatchObject({ effective: false, parcel: { state: parcel.state } });
          parcel = next.parcel;
        }
      }),
    );
  });
});

describe("a shipment", () => {
  it.each<[readonly ParcelState[], string]>([
    [["BOOKED", "SORTED"], "BOOKED"],
    [["BOOKED", "LOADED"], "IN_TRANSIT"],
    [["DELIVERED", "FAILED"], "IN_TRANSIT"],
    [["DELIVERED", "SORTED"], "IN_TRANSIT"],
    [["DELIVERED", "RETURNED"], "DELIVERED"],
    [["RETURNED", "RETURNED"], "RETURNED"],
    [["CANCELLED", "CANCELLED"], "CANCELLED"],
  ])("of parcels %j is %s", (parcels, state) => {
    expect(shipmentState(parcels)).toBe(state);
  });

  it("is expected with its last parcel that is on its way, and names what came back", () => {
    const parcels: Parcel[] = [
      { ...booked, expectedTime: at(10) },
      { ...booked, state: "RETURNED", expectedTime: at(30) },
      { ...booked, state: "RETURNED", expectedTime: at(30) },
    ];
    const shipment: Shipment = { ...someShipment, parcels };
    expect(expectedTime(shipment)).toEqual(at(10));
    expect(expectedTime({ ...shipment, parcels: [booked, ...parcels] })).toEqual(at(59));
    expect(expectedTime({ ...shipment, parcels: parcels.slice(1) })).toBeUndefined();
    expect(returnedLines(parcels)).toEqual([{ sku: "MOTOR", quantity: 4n }]);
  });
});

const someShipment: Shipment = {
  id: "shp_1",
  orderId: "ord_1",
  returnId: "",
  customerId: "usr_1",
  direction: "OUTBOUND",
  state: "BOOKED",
  speed: "STANDARD",
  zone: "town-city",
  depot: "town",
  promisedTime: at(59),
  version: 1,
  createTime: at(0),
  updateTime: at(0),
  parcels: [],
};
