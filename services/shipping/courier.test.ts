import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Parcel_State, Scan_Kind, type Shipment, Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import { newId } from "#mesh/ids.ts";
import { goRound } from "./courier.ts";
import { addressIn, callersOf, goods, parcelIdOf, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { book, get, scan } = callersOf(() => shipping);
const forever = new AbortController().signal;
/** A round of so many couriers at once, of which none lets anything rest. */
const round = async (couriers = 1): Promise<void> => {
  shipping.clock.advance(3_000);
  const deps = { ...shipping.deps, chance: () => 1 };
  await Promise.all(Array.from({ length: couriers }, () => goRound(deps, forever)));
};

describe("the simulated courier", () => {
  const wayOf = async ({ id }: Shipment) =>
    (await get(id)).parcels[0]?.scans.map(({ kind, depot }) => `${nameOf(kind)} ${depot}`.trim());

  it("brings every parcel of a shipment to its buyer by the depots of its way", async () => {
    const shipment = await book({ lines: goods(20_000, 2n) });
    const near = await book({ address: addressIn("DE", "60311") });
    await round();
    expect((await get(shipment.id)).parcels[0]?.scans).toEqual([]);
    await shipping.sort();
    for (let count = 0; count < 6; count += 1) await round();
    expect(await wayOf(shipment)).toEqual([
      ...["SORTED frankfurt", "LOADED frankfurt", "SORTED munich", "OUT_FOR_DELIVERY", "DELIVERED"],
    ]);
    expect(await wayOf(near)).toEqual(["SORTED frankfurt", "OUT_FOR_DELIVERY", "DELIVERED"]);
    const ended = await get(shipment.id);
    expect(ended.state).toBe(Shipment_State.DELIVERED);
    expect(ended.parcels.map(({ state }) => state)).toEqual([Parcel_State.DELIVERED, Parcel_State.DELIVERED]);
  });

  it("fetches what comes back", async () => {
    const shipment = await book({ returnId: newId("ret") });
    await shipping.sort();
    for (let count = 0; count < 5; count += 1) await round();
    expect(await wayOf(shipment)).toEqual(["LOADED", "SORTED munich", "LOADED munich", "DELIVERED frankfurt"]);
  });

  it("tries again what nobody took, and brings it back after three times", async () => {
    const shipment = await book();
    await shipping.sort();
    const parcelId = parcelIdOf(shipment);
    for (const state of [Parcel_State.OUT_FOR_DELIVERY, Parcel_State.OUT_FOR_DELIVERY, Parcel_State.RETURNED]) {
      await scan(parcelId, "FAILED");
      await round();
      expect((await get(shipment.id)).parcels[0]?.state).toBe(state);
    }
  });

  it("is one, however many instances there are", async () => {
    const shipments = await Promise.all(Array.from({ length: 8 }, () => book()));
    await shipping.sort();
    for (let count = 0; count < 3; count += 1) {
      await round(4);
      for (const { id } of shipments) expect((await get(id)).parcels[0]?.scans).toHaveLength(count + 1);
    }
  });

  it("moves nothing that has not rested", async () => {
    const shipment = await book();
    await shipping.sort();
    await goRound({ ...shipping.deps, chance: () => 1 }, forever);
    expect((await get(shipment.id)).parcels[0]?.scans).toEqual([]);
    shipping.clock.advance(3_000);
    await goRound({ ...shipping.deps, chance: () => 0 }, forever);
    expect((await get(shipment.id)).parcels[0]?.scans).toEqual([]);
  });
});

function nameOf(kind: Scan_Kind): string {
  return Object.entries(Scan_Kind).find(([, number]) => number === kind)?.[0] ?? "";
}
