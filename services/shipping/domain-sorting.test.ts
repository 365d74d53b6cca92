import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Distance, Network } from "./domain-network.ts";
import type { Load } from "./domain-packing.ts";
import { type Consignment, createPlanner, type PlannedParcel, type Tour } from "./domain-sorting.ts";
import { smallNetwork } from "./testing/network.ts";

const now = new Date("2026-06-01T05:00:00Z");
const at = (time: string) => new Date(`2026-06-${time}:00Z`);
const load = (weightGrams: number, volumeMl = 0): Load => ({ weightGrams, volumeMl, lengthMm: 0 });

const toTown = (parcels: readonly Load[], changes: Partial<Consignment> = {}): Consignment => ({
  ...{ direction: "OUTBOUND", speed: "STANDARD", depot: "town", distance: "CITY" },
  parcels,
  ...changes,
});
const fromHub = (weights: readonly number[], changes: Partial<Consignment> = {}) =>
  toTown(
    weights.map((grams) => load(grams)),
    { depot: "hub", distance: "REGION", ...changes },
  );
const departures = (parcels: readonly PlannedParcel<Load>[] | undefined) =>
  parcels?.map(({ legs }) => legs.map(({ departTime }) => departTime));

describe("a plan", () => {
  it("takes the first tour that leaves in time, and the next depot's after the first has come", () => {
    const [planned] = createPlanner(smallNetwork, [], now).plan(toTown([load(1_000)])) ?? [];
    expect(planned?.legs).toMatchObject([
      { fromDepot: "hub", toDepot: "town", kind: "VAN", departTime: at("01T06:00") },
      // Come at 10:00, and handled for half an hour.
      { fromDepot: "town", toDepot: "", kind: "BIKE", departTime: at("01T12:00") },
    ]);
    expect(planned?.expectedTime).toEqual(at("01T13:30"));
  });

  it("goes to the next tour when one is full, and to the next day's when all of a day are", () => {
    const planner = createPlanner(smallNetwork, [], now);
    expect(departures(planner.plan(fromHub([400_000])))).toEqual([[at("01T06:00")]]);
    expect(departures(planner.plan(fromHub([400_000])))).toEqual([[at("01T13:00")]]);
    expect(departures(planner.plan(fromHub([400_000])))).toEqual([[at("02T06:00")]]);
  });

  it("leaves a part of each tour to express parcels, but not of one that nothing is in", () => {
    const planner = createPlanner(smallNetwork, [], now);
    expect(departures(planner.plan(fromHub([30_000])))).toEqual([[at("01T06:00")]]);
    expect(departures(planner.plan(fromHub([380_000])))).toEqual([[at("01T13:00")]]);
    expect(departures(planner.plan(fromHub([380_000], { speed: "EXPRESS" })))).toEqual([[at("01T06:00")]]);
  });

  it("takes nothing of what finds no room with all of its parcels, and then what does", () => {
    // Two tours a day for eight days, of which the first can be had: sixteen.
    const planner = createPlanner(smallNetwork, [], now);
    expect(planner.plan(fromHub(Array.from({ length: 17 }, () => 400_000)))).toBeUndefined();
    expect(planner.taken()).toEqual([]);
    expect(planner.plan(fromHub(Array.from({ length: 16 }, () => 400_000)))).toHaveLength(16);
    expect(planner.plan(fromHub([400_000]))).toBeUndefined();
  });

  it("goes by a tour's own room and time, when its vehicle has others since", () => {
    const known: Tour = {
      ...{ id: "tou_1", vehicle: "van-hub", day: "2026-06-01", number: 0, departTime: at("01T07:00") },
      ...{ capacityGrams: 50_000, capacityMl: 50_000, takenGrams: 20_000, takenMl: 0 },
    };
    const planner = createPlanner(smallNetwork, [known], now);
    expect(departures(planner.plan(fromHub([15_000, 15_000])))).toEqual([[at("01T07:00")], [at("01T13:00")]]);
    expect(planner.taken()[0]).toEqual({ tour: known, grams: 15_000, ml: 0, parcels: 1 });
  });
});

describe("whatever is sent", () => {
  const anyLoad = fc.record({
    weightGrams: fc.oneof(fc.integer({ min: 0, max: 30_000 }), fc.integer({ min: 0, max: 400_000 })),
    volumeMl: fc.oneof(fc.integer({ min: 0, max: 120_000 }), fc.integer({ min: 0, max: 4_000_000 })),
    lengthMm: fc.integer({ min: 0, max: 3_000 }),
  });
  const anyConsignment = fc.record<Consignment>({
    direction: fc.constantFrom("OUTBOUND", "RETURN"),
    speed: fc.constantFrom("STANDARD", "EXPRESS"),
    depot: fc.constantFrom("hub", "town"),
    distance: fc.constantFrom<Distance>("CITY", "REGION"),
    parcels: fc.array(anyLoad, { minLength: 1, maxLength: 6 }),
  });
  // A city of the hub has no bike; there all goes by van.
  const network: Network = {
    ...smallNetwork,
    vehicles: smallNetwork.vehicles.flatMap((one) =>
      one.id === "bike-town" ? [one, { ...one, id: "bike-hub", depot: "hub" }] : [one],
    ),
  };

  it("never fills a tour beyond its capacity, and hands every parcel on in time", () => {
    fc.assert(
      fc.property(fc.array(anyConsignment, { minLength: 1, maxLength: 25 }), (consignments) => {
        const planner = createPlanner(network, [], now);
        const planned = consignments.flatMap((one) => planner.plan(one) ?? []);
        for (const { tour, grams, ml } of planner.taken()) {
          const loads = planned.flatMap(({ parcel, legs }) =>
            legs.filter((leg) => isTour(leg.tour, tour)).map(() => parcel),
          );
          expect(loads.reduce((sum, { weightGrams }) => sum + weightGrams, 0)).toBe(grams);
          expect(loads.reduce((sum, { volumeMl }) => sum + volumeMl, 0)).toBe(ml);
          expect(grams).toBeLessThanOrEqual(tour.capacityGrams);
          expect(ml).toBeLessThanOrEqual(tour.capacityMl);
        }
        for (const parcel of planned) expect(isInTime(parcel)).toBe(true);
      }),
    );
  });

  const isTour = (a: Pick<Tour, "vehicle" | "day" | "number">, b: Tour): boolean =>
    a.vehicle === b.vehicle && a.day === b.day && a.number === b.number;

  /** Each leg begins where the last one ended, half an hour after that came. */
  function isInTime({ legs, expectedTime }: PlannedParcel<Load>): boolean {
    let ready = now.getTime() + 30 * 60_000;
    let place: string | undefined;
    for (const { fromDepot, toDepot, departTime, tour } of legs) {
      const ride = network.vehicles.find(({ id }) => id === tour.vehicle)?.rideMinutes ?? Number.NaN;
      if (departTime.getTime() < ready || (place !== undefined && place !== fromDepot)) return false;
      ready = departTime.getTime() + (ride + 30) * 60_000;
      place = toDepot;
    }
    return legs.length > 0 && expectedTime.getTime() === ready - 30 * 60_000;
  }
});
