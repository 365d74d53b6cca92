import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { networkProblems, zoneOf } from "./domain-network.ts";
import { followNetwork } from "./network.ts";
import { smallNetwork } from "./testing/network.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
});
afterAll(() => database?.close());

const log = pino({ level: "silent" });

describe("the zone of an address", () => {
  it.each([
    ["80331", "town-city"],
    ["8 0-331", "town-city"],
    ["D-80331", "town-city"],
    ["de80331", "town-city"],
    ["86150", "town-region"],
    ["50667", "hub-region"],
    ["", "hub-region"],
  ])("%s is in %s: the longest prefix holds", (postalCode, zone) => {
    expect(zoneOf(smallNetwork, { countryCode: "DE", postalCode })?.id).toBe(zone);
  });

  it("is none in a country that is not served, and where a longer prefix says so", () => {
    expect(zoneOf(smallNetwork, { countryCode: "US", postalCode: "80331" })).toBeUndefined();
    const areas = [...smallNetwork.areas, { countryCode: "DE", postalPrefix: "805", zone: "" }];
    expect(zoneOf({ ...smallNetwork, areas }, { countryCode: "DE", postalCode: "80539" })).toBeUndefined();
    expect(zoneOf({ ...smallNetwork, areas }, { countryCode: "DE", postalCode: "80331" })?.id).toBe("town-city");
  });
});

describe("a network", () => {
  it("is not whole when something that is let in could not be carried", () => {
    expect(networkProblems(smallNetwork)).toEqual([]);
    const without = (id: string) => smallNetwork.vehicles.filter((vehicle) => vehicle.id !== id);
    expect(networkProblems({ ...smallNetwork, vehicles: without("bike-town") })).toHaveLength(1);
    expect(networkProblems({ ...smallNetwork, vehicles: without("van-town-hub") })).toHaveLength(1);
    expect(networkProblems({ ...smallNetwork, rules: smallNetwork.rules.slice(0, 1) })).not.toEqual([]);
    expect(networkProblems({ ...smallNetwork, depots: [] })).toHaveLength(1);
  });

  it("follows its tables, and stays as it was when they would leave parcels without a vehicle", async () => {
    const network = await followNetwork({ db: database.db, log });
    const address = { countryCode: "DE", postalCode: "80331" };
    expect(zoneOf(network.current(), address)?.id).toBe("munich-city");
    await database.db.query("update zone_areas set zone = 'south' where postal_prefix = '80'");
    await network.reread();
    expect(zoneOf(network.current(), address)?.id).toBe("south");
    await database.db.query("update zone_areas set zone = 'munich-city' where postal_prefix = '80'");
    await database.db.query("delete from vehicles where id like 'van-munich-frankfurt-%'");
    await expect(network.reread()).rejects.toThrow("no vehicle from munich to frankfurt");
    expect(zoneOf(network.current(), address)?.id).toBe("south");
    await network.close();
  });
});
