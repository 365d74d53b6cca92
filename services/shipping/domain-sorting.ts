import type { Distance, Network, Speed, Vehicle, VehicleKind } from "./domain-network.ts";
import { type Load, ruleFor } from "./domain-packing.ts";
import type { Direction } from "./domain-shipment.ts";

/** What a vehicle does on one day: the tour that is the number-th of its departures. */
export interface TourKey {
  readonly vehicle: string;
  /** `YYYY-MM-DD`, in UTC. */
  readonly day: string;
  readonly number: number;
}

/** A tour that somebody has taken room in. */
export interface Tour extends TourKey {
  readonly id: string;
  readonly departTime: Date;
  readonly capacityGrams: number;
  readonly capacityMl: number;
  readonly takenGrams: number;
  readonly takenMl: number;
}

/** Parcels that go from one place to another at one speed. */
export interface Consignment<P extends Load = Load> {
  readonly direction: Direction;
  readonly speed: Speed;
  readonly depot: string;
  readonly distance: Distance;
  readonly parcels: readonly P[];
}

/** A leg in a tour. An empty depot stands for the address. */
export interface PlannedLeg {
  readonly fromDepot: string;
  readonly toDepot: string;
  /** In whose list it stands: where it leaves, or where it comes to from an address. */
  readonly depot: string;
  readonly kind: VehicleKind;
  readonly tour: TourKey;
  readonly departTime: Date;
}

export interface PlannedParcel<P extends Load> {
  readonly parcel: P;
  readonly legs: readonly PlannedLeg[];
  readonly expectedTime: Date;
}

/** Room that a plan takes in a tour. */
export interface TakenRoom {
  readonly tour: Tour;
  readonly grams: number;
  readonly ml: number;
}

/** Takes room in tours, for one consignment after the other. */
export interface Planner {
  /** All of its parcels, each with its tours; undefined when one finds none, and then nothing is taken. */
  plan<P extends Load>(consignment: Consignment<P>): readonly PlannedParcel<P>[] | undefined;
  /** What was taken of which tours; those that are new have an empty id. */
  taken(): readonly TakenRoom[];
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * Plans on the tours that are known. Each leg goes with the first tour that leaves in time and has room. Standard parcels
 * leave `expressPercent` of a tour to express ones, but for a tour in which nothing is yet: what no vehicle has room for
 * beside others finds it there.
 */
export function createPlanner(network: Network, known: readonly Tour[], now: Date): Planner {
  const book = new Map(known.map((tour): [string, BookedTour] => [keyOf(tour), bookOf(tour)]));
  const firstRide = rideFinder(network, now, book);
  const handlingMs = network.settings.handlingMinutes * MINUTE_MS;

  const planOne = <P extends Load>(parcel: P, consignment: Consignment<P>): PlannedParcel<P> | undefined => {
    let readyMs = now.getTime() + handlingMs;
    const legs: PlannedLeg[] = [];
    for (const section of sectionsOf(consignment, parcel, network)) {
      const ride = firstRide(
        section,
        ({ vehicle, booked }) =>
          booked.tour.departTime.getTime() >= readyMs && hasRoom(vehicle, booked, parcel, consignment),
      );
      if (ride === undefined) {
        for (const leg of legs) give(book, leg.tour, parcel, -1);
        return undefined;
      }
      const { vehicle, day, number, departTime } = ride.booked.tour;
      give(book, ride.booked.tour, parcel, 1);
      legs.push({ ...section, tour: { vehicle, day, number }, departTime });
      readyMs = departTime.getTime() + ride.vehicle.rideMinutes * MINUTE_MS + handlingMs;
    }
    return { parcel, legs, expectedTime: new Date(readyMs - handlingMs) };
  };

  return {
    plan: (consignment) => {
      const planned: PlannedParcel<(typeof consignment.parcels)[number]>[] = [];
      for (const parcel of consignment.parcels) {
        const one = planOne(parcel, consignment);
        if (one === undefined) {
          for (const { parcel: other, legs } of planned) for (const leg of legs) give(book, leg.tour, other, -1);
          return undefined;
        }
        planned.push(one);
      }
      return planned;
    },
    taken: () => [...book.values()].filter(({ parcels }) => parcels > 0),
  };
}

/** The vehicles whose tours a depot's parcels take, both ways: whoever changes those tours locks the depot. */
export function vehiclesOf({ depots, vehicles }: Network, depot: string): readonly Vehicle[] {
  const central = depots.find((one) => one.central)?.id;
  const isTrunk = (vehicle: Vehicle): boolean =>
    (vehicle.depot === central && vehicle.toDepot === depot) ||
    (vehicle.depot === depot && vehicle.toDepot === central);
  return vehicles.filter((vehicle) => (vehicle.depot === depot && vehicle.toDepot === "") || isTrunk(vehicle));
}

/** A tour, and what was taken in it beyond what it says. */
interface BookedTour extends TakenRoom {
  readonly parcels: number;
}

interface Ride {
  readonly vehicle: Vehicle;
  readonly booked: BookedTour;
}

type Section = Pick<PlannedLeg, "fromDepot" | "toDepot" | "depot" | "kind">;

/** The parts of a parcel's way, in the order in which it goes; none when no vehicle may carry it. */
function sectionsOf({ direction, depot, distance }: Consignment, load: Load, network: Network): readonly Section[] {
  const central = network.depots.find((one) => one.central)?.id ?? depot;
  const kind = ruleFor(load, distance, network.rules)?.vehicle ?? "VAN";
  const outbound = direction === "OUTBOUND";
  const round = { fromDepot: outbound ? depot : "", toDepot: outbound ? "" : depot, depot, kind };
  if (depot === central) return [round];
  return outbound
    ? [{ fromDepot: central, toDepot: depot, depot: central, kind: "VAN" }, round]
    : [round, { fromDepot: depot, toDepot: central, depot: central, kind: "VAN" }];
}

/** Finds the first tour for a section that suits. Those of one kind of section are put in order once. */
function rideFinder(
  network: Network,
  now: Date,
  book: Map<string, BookedTour>,
): (section: Section, suits: (ride: Ride) => boolean) => Ride | undefined {
  interface Known {
    readonly vehicle: Vehicle;
    readonly key: string;
    readonly departMs: number;
  }
  const found = new Map<string, readonly Known[]>();
  const listAll = ({ fromDepot, toDepot, kind }: Section): readonly Known[] =>
    network.vehicles
      .filter((vehicle) => vehicle.kind === kind && goes(vehicle, fromDepot, toDepot))
      .flatMap((vehicle) => toursOf(vehicle, network.settings.maxDaysAhead, now).map((tour) => ({ vehicle, tour })))
      .map(({ vehicle, tour }) => {
        const key = keyOf(tour);
        const booked = book.get(key) ?? bookOf(tour);
        book.set(key, booked);
        return { vehicle, key, departMs: booked.tour.departTime.getTime() };
      })
      .toSorted((a, b) => a.departMs - b.departMs || (a.vehicle.id < b.vehicle.id ? -1 : 1));
  return (section, suits) => {
    const name = [section.fromDepot, section.toDepot, section.kind].join("/");
    const all = found.get(name) ?? listAll(section);
    found.set(name, all);
    for (const { vehicle, key } of all) {
      const booked = book.get(key);
      if (booked !== undefined && suits({ vehicle, booked })) return { vehicle, booked };
    }
    return undefined;
  };
}

/** Whether a vehicle goes from one depot to another; those that go round go from their depot to addresses and back. */
function goes(vehicle: Vehicle, fromDepot: string, toDepot: string): boolean {
  if (fromDepot === "" || toDepot === "") return vehicle.toDepot === "" && vehicle.depot === fromDepot + toDepot;
  return vehicle.depot === fromDepot && vehicle.toDepot === toDepot;
}

function toursOf(vehicle: Vehicle, daysAhead: number, now: Date): readonly Tour[] {
  const midnightMs = Math.floor(now.getTime() / DAY_MS) * DAY_MS;
  return Array.from({ length: daysAhead + 1 }, (_, days) => midnightMs + days * DAY_MS).flatMap((dayMs) =>
    vehicle.departures.map((minutes, number) => ({
      id: "",
      vehicle: vehicle.id,
      day: new Date(dayMs).toISOString().slice(0, 10),
      number,
      departTime: new Date(dayMs + minutes * MINUTE_MS),
      capacityGrams: vehicle.capacityGrams,
      capacityMl: vehicle.capacityMl,
      takenGrams: 0,
      takenMl: 0,
    })),
  );
}

function bookOf(tour: Tour): BookedTour {
  return { tour, grams: 0, ml: 0, parcels: 0 };
}

function hasRoom(
  { expressPercent }: Vehicle,
  { tour, ...taken }: BookedTour,
  load: Load,
  { speed }: Pick<Consignment, "speed">,
): boolean {
  const [grams, ml] = [tour.takenGrams + taken.grams, tour.takenMl + taken.ml];
  const empty = grams === 0 && ml === 0;
  const percent = speed === "EXPRESS" || empty ? 100 : 100 - expressPercent;
  return (
    (grams + load.weightGrams) * 100 <= tour.capacityGrams * percent &&
    (ml + load.volumeMl) * 100 <= tour.capacityMl * percent
  );
}

function give(book: Map<string, BookedTour>, key: TourKey, load: Load, sign: 1 | -1): void {
  const booked = book.get(keyOf(key));
  if (booked === undefined) throw new Error("room was taken in a tour that is not in the book");
  book.set(keyOf(key), {
    tour: booked.tour,
    grams: booked.grams + sign * load.weightGrams,
    ml: booked.ml + sign * load.volumeMl,
    parcels: booked.parcels + sign,
  });
}

function keyOf({ vehicle, day, number }: TourKey): string {
  return `${vehicle}/${day}/${number}`;
}
