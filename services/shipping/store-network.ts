import type { Database } from "#mesh/postgres/index.ts";
import type {
  Depot,
  Network,
  SortingRule,
  SortingSettings,
  Tariff,
  Vehicle,
  Zone,
  ZoneArea,
} from "./domain-network.ts";

/** The whole network. */
export async function readNetwork(db: Database): Promise<Network> {
  return db.transaction(async (tx) => {
    const [depots, zones, areas, tariffs, vehicles, rules, [settings]] = await Promise.all([
      tx.query<Depot>("select id, title, central from depots order by id"),
      tx.query<Zone>("select id, title, depot, distance from zones order by id"),
      tx.query<ZoneArea>(
        `select country_code as "countryCode", postal_prefix as "postalPrefix", coalesce(zone, '') as zone
         from zone_areas order by country_code, postal_prefix`,
      ),
      tx.query<TariffRow>(
        `select distance, speed, title, base_price as "basePrice", included_grams as "includedGrams",
           step_price as "stepPrice", step_grams as "stepGrams", grams_per_litre as "gramsPerLitre",
           free_from_subtotal as "freeFromSubtotal", min_days as "minDays", max_days as "maxDays"
         from tariffs order by distance, speed`,
      ),
      tx.query<Vehicle>(
        `select id, kind, depot, coalesce(to_depot, '') as "toDepot", capacity_grams as "capacityGrams",
           capacity_ml as "capacityMl", express_percent as "expressPercent", departures, ride_minutes as "rideMinutes"
         from vehicles order by id`,
      ),
      tx.query<SortingRule>(
        `select vehicle, distances, max_weight_grams as "maxWeightGrams", max_length_mm as "maxLengthMm",
           max_volume_ml as "maxVolumeMl"
         from sorting_rules order by position`,
      ),
      tx.query<SortingSettings>(
        `select max_parcel_grams as "maxParcelGrams", max_parcel_ml as "maxParcelMl", max_girth_mm as "maxGirthMm",
           handling_minutes as "handlingMinutes", max_days_ahead as "maxDaysAhead"
         from sorting_settings`,
      ),
    ]);
    if (settings === undefined) throw new Error("sorting_settings has no row");
    return { depots, zones, areas, tariffs: tariffs.map(toTariff), vehicles, rules, settings };
  });
}

interface TariffRow extends Omit<Tariff, "freeFromSubtotal"> {
  readonly freeFromSubtotal: bigint | null;
}

function toTariff({ freeFromSubtotal, ...row }: TariffRow): Tariff {
  return { ...row, freeFromSubtotal: freeFromSubtotal ?? undefined };
}
