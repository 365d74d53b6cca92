import type { Network, Tariff, Vehicle } from "../domain-network.ts";

const van = (vehicle: Pick<Vehicle, "id" | "depot" | "toDepot">): Vehicle => ({
  kind: "VAN",
  capacityGrams: 500_000,
  capacityMl: 5_000_000,
  expressPercent: 20,
  departures: [360, 780],
  rideMinutes: 240,
  ...vehicle,
});

/** 5.00 for up to 1 kg, 1.00 for each kg beyond, and twice that for express; a litre counts for 200 g. */
const tariff = (tariff: Pick<Tariff, "distance" | "speed">): Tariff => {
  const times = tariff.speed === "EXPRESS" ? 2n : 1n;
  return {
    title: tariff.speed,
    basePrice: 500n * times,
    includedGrams: 1_000,
    stepPrice: 100n * times,
    stepGrams: 1_000,
    gramsPerLitre: 200,
    freeFromSubtotal: tariff.speed === "EXPRESS" ? undefined : 10_000n,
    minDays: 1,
    maxDays: tariff.speed === "EXPRESS" ? 2 : 4,
    ...tariff,
  };
};

/** Two depots: `hub`, the central one, and `town`, where a bike goes round too. */
export const smallNetwork: Network = {
  depots: [
    { id: "hub", title: "Hub", central: true },
    { id: "town", title: "Town", central: false },
  ],
  zones: [
    { id: "hub-region", title: "Around the hub", depot: "hub", distance: "REGION" },
    { id: "town-city", title: "Town", depot: "town", distance: "CITY" },
    { id: "town-region", title: "Around the town", depot: "town", distance: "REGION" },
  ],
  areas: [
    { countryCode: "DE", postalPrefix: "", zone: "hub-region" },
    { countryCode: "DE", postalPrefix: "8", zone: "town-region" },
    { countryCode: "DE", postalPrefix: "80", zone: "town-city" },
  ],
  tariffs: [
    tariff({ distance: "CITY", speed: "STANDARD" }),
    tariff({ distance: "REGION", speed: "EXPRESS" }),
    tariff({ distance: "REGION", speed: "STANDARD" }),
  ],
  vehicles: [
    van({ id: "van-hub-town", depot: "hub", toDepot: "town" }),
    van({ id: "van-town-hub", depot: "town", toDepot: "hub" }),
    van({ id: "van-hub", depot: "hub", toDepot: "" }),
    van({ id: "van-town", depot: "town", toDepot: "" }),
    {
      ...van({ id: "bike-town", depot: "town", toDepot: "" }),
      ...{ kind: "BIKE", capacityGrams: 60_000, capacityMl: 400_000, departures: [480, 720, 960], rideMinutes: 90 },
    },
  ],
  rules: [
    { vehicle: "BIKE", distances: ["CITY"], maxWeightGrams: 8_000, maxLengthMm: 800, maxVolumeMl: 80_000 },
    {
      vehicle: "VAN",
      distances: ["CITY", "REGION"],
      maxWeightGrams: 400_000,
      maxLengthMm: 3_000,
      maxVolumeMl: 4_000_000,
    },
  ],
  settings: {
    maxParcelGrams: 30_000,
    maxParcelMl: 120_000,
    maxGirthMm: 3_600,
    handlingMinutes: 30,
    maxDaysAhead: 7,
  },
};
