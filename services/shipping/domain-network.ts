// Where goods are handed on, and what carries them. All of it is data; see migrations/0001_init.sql.

export interface Depot {
  readonly id: string;
  readonly title: string;
  readonly central: boolean;
}

/** How far an address is from the depot that serves it. */
export type Distance = "CITY" | "REGION" | "NEIGHBOUR" | "EUROPE";

export interface Zone {
  readonly id: string;
  readonly title: string;
  readonly depot: string;
  readonly distance: Distance;
}

export interface ZoneArea {
  readonly countryCode: string;
  /** Empty for the whole country. */
  readonly postalPrefix: string;
  /** Empty where the shop does not deliver. */
  readonly zone: string;
}

export type Speed = "STANDARD" | "EXPRESS";

/** What sending over a distance costs at a speed, and how long it takes. */
export interface Tariff {
  readonly distance: Distance;
  readonly speed: Speed;
  /** Its name for people. */
  readonly title: string;
  /** In the smallest unit of the shop's currency, as all amounts; for goods of up to `includedGrams`. */
  readonly basePrice: bigint;
  readonly includedGrams: number;
  /** For each `stepGrams` beyond them that are begun. */
  readonly stepPrice: bigint;
  readonly stepGrams: number;
  /** What a litre of goods weighs at the least. */
  readonly gramsPerLitre: number;
  /** From which subtotal on sending costs nothing; undefined when it always costs something. */
  readonly freeFromSubtotal: bigint | undefined;
  readonly minDays: number;
  readonly maxDays: number;
}

export type VehicleKind = "VAN" | "BIKE";

export interface Vehicle {
  readonly id: string;
  readonly kind: VehicleKind;
  readonly depot: string;
  /** Empty for one that goes round to addresses. */
  readonly toDepot: string;
  readonly capacityGrams: number;
  readonly capacityMl: number;
  /** How much of each tour standard parcels leave to express ones. */
  readonly expressPercent: number;
  /** In minutes after midnight UTC, ascending. */
  readonly departures: readonly number[];
  readonly rideMinutes: number;
}

/** Which vehicle goes to the address: that of the first rule which a parcel fits. */
export interface SortingRule {
  readonly vehicle: VehicleKind;
  readonly distances: readonly Distance[];
  readonly maxWeightGrams: number;
  readonly maxLengthMm: number;
  readonly maxVolumeMl: number;
}

export interface SortingSettings {
  readonly maxParcelGrams: number;
  readonly maxParcelMl: number;
  /** Length + 2 × (width + height). */
  readonly maxGirthMm: number;
  readonly handlingMinutes: number;
  readonly maxDaysAhead: number;
}

export interface Network {
  readonly depots: readonly Depot[];
  readonly zones: readonly Zone[];
  readonly areas: readonly ZoneArea[];
  readonly tariffs: readonly Tariff[];
  readonly vehicles: readonly Vehicle[];
  /** In their order. */
  readonly rules: readonly SortingRule[];
  readonly settings: SortingSettings;
}

/** As much of an address as says where it is. */
export interface Destination {
  readonly countryCode: string;
  readonly postalCode: string;
}

/** The zone of an address: that of the longest prefix of its postal code. Undefined where the shop does not deliver. */
export function zoneOf({ areas, zones }: Network, { countryCode, postalCode }: Destination): Zone | undefined {
  // `D-10115` and `LV-1010` say the country once more; where letters are part of the code, fewer digits follow.
  const code = postalCode
    .toUpperCase()
    .replaceAll(/[\s-]/g, "")
    .replace(/^[A-Z]{1,2}(?=\d{4})/, "");
  const found = areas
    .filter((area) => area.countryCode === countryCode && code.startsWith(area.postalPrefix))
    .reduce<ZoneArea | undefined>(longer, undefined);
  return zones.find(({ id }) => id === found?.zone);
}

function longer(best: ZoneArea | undefined, area: ZoneArea): ZoneArea {
  return best !== undefined && best.postalPrefix.length >= area.postalPrefix.length ? best : area;
}

/** What is wrong with a network: a line for each parcel that would be let in and could not be carried. */
export function networkProblems(network: Network): readonly string[] {
  const { depots, zones, vehicles, rules, settings } = network;
  const central = depots.find((depot) => depot.central)?.id;
  if (central === undefined) return ["no depot is the central one"];
  const used = depots.filter(({ id }) => zones.some(({ depot }) => depot === id));
  return used.flatMap(({ id }) => {
    const distances = zones.filter(({ depot }) => depot === id).map(({ distance }) => distance);
    const applied = rules.filter((rule) => rule.distances.some((distance) => distances.includes(distance)));
    const lines: string[] = [];
    for (const distance of new Set(distances)) {
      if (!applied.some((rule) => rule.distances.includes(distance) && takesParcels(rule, settings))) {
        lines.push(`no rule takes every parcel of ordinary size to ${distance} of ${id}`);
      }
    }
    for (const rule of applied) {
      const rides = vehicles.filter(
        ({ kind, depot, toDepot }) => kind === rule.vehicle && depot === id && toDepot === "",
      );
      if (!rides.some((vehicle) => carries(vehicle, rule)))
        lines.push(`no ${rule.vehicle} of ${id} carries all of its rule`);
    }
    for (const [from, to] of id === central ? [] : [[central, id] as const, [id, central] as const]) {
      const trunk = vehicles.filter(({ depot, toDepot }) => depot === from && toDepot === to);
      const all = applied.every((rule) => trunk.some((vehicle) => carries(vehicle, rule)));
      if (!all) lines.push(`no vehicle from ${from} to ${to} carries all that the rules let in`);
    }
    return lines;
  });
}

function takesParcels(rule: SortingRule, settings: SortingSettings): boolean {
  return rule.maxWeightGrams >= settings.maxParcelGrams && rule.maxVolumeMl >= settings.maxParcelMl;
}

function carries(vehicle: Vehicle, rule: SortingRule): boolean {
  return vehicle.capacityGrams >= rule.maxWeightGrams && vehicle.capacityMl >= rule.maxVolumeMl;
}
