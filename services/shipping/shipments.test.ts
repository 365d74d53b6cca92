import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Direction, Parcel_State, Shipment_State, Speed, Vehicle } from "#gen/shop/shipping/v1/shipment.ts";
import { newId } from "#mesh/ids.ts";
import { addressIn, callersOf, goods, parcelIdOf, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { as, book, client, courier, get, request, scan, service, tryCancel, tryCreate, tryScan } = callersOf(
  () => shipping,
);

const minutesUntil = (time: Date | undefined) => ((time?.getTime() ?? 0) - shipping.clock.now().getTime()) / 60_000;

describe("a shipment", () => {
  it("is booked in parcels, at the speed of its rate, and expected when the rate says", async () => {
    const shipment = await book({ lines: goods(10_000, 4n) }, "EXPRESS");
    expect(shipment).toMatchObject({
      state: Shipment_State.BOOKED,
      direction: Direction.OUTBOUND,
      speed: Speed.EXPRESS,
      parcels: [
        { state: Parcel_State.BOOKED, weightGrams: 30_000, legs: [], lines: [{ sku: "MOTOR", quantity: 3n }] },
        { state: Parcel_State.BOOKED, weightGrams: 10_000, legs: [], lines: [{ sku: "MOTOR", quantity: 1n }] },
      ],
    });
    expect(minutesUntil(shipment.estimatedDeliveryTime)).toBe(2 * 24 * 60);
    expect(await get(shipment.id)).toEqual(shipment);
  });

  it("is refused where it could not go, and at a rate that was not given for it", async () => {
    const refused = async (given: Parameters<typeof request>[0]) => {
      const result = await tryCreate(request(given));
      return result.ok ? "booked" : result.error.reason;
    };
    expect(await refused({ address: addressIn("US", "10115") })).toBe("DESTINATION_NOT_SERVED");
    expect(await refused({ lines: goods(400_001) })).toBe("GOODS_TOO_LARGE");
    expect(await refused({ rateId: "" })).toBe("RATE_NOT_FOUND");
    expect(await refused({ rateId: request({ lines: goods(901) }).rateId })).toBe("RATE_NOT_FOUND");
  });

  it("is booked at a rate that has expired since it was chosen", async () => {
    const given = request();
    shipping.clock.advance(24 * 3_600_000);
    expect(await tryCreate(given)).toMatchObject({ ok: true });
  });

  it("is the only one that its order has this way, and one for each return", async () => {
    const { id, orderId } = await book();
    expect(await tryCreate(request({ orderId }))).toMatchObject({
      ok: false,
      error: { code: "ALREADY_EXISTS", reason: "SHIPMENT_EXISTS", metadata: { shipment_id: id } },
    });
    const [one, two] = [newId("ret"), newId("ret")];
    expect(await book({ orderId, returnId: one })).toMatchObject({ direction: Direction.RETURN, returnId: one });
    await book({ orderId, returnId: two });
    expect(await tryCreate(request({ orderId, returnId: two }))).toMatchObject({
      error: { reason: "SHIPMENT_EXISTS" },
    });
  });

  it("goes to its buyer by trunk and bike or van, and comes back the other way", async () => {
    const ways = async (given: Parameters<typeof request>[0]) => {
      const { id } = await book(given);
      await shipping.sort();
      const { parcels } = await get(id);
      return parcels.map(({ legs }) => legs.map(({ fromDepot, toDepot, vehicle }) => [fromDepot, toDepot, vehicle]));
    };
    const { BIKE, VAN } = Vehicle;
    const trunk = ["frankfurt", "munich", VAN];
    expect(await ways({})).toEqual([[trunk, ["munich", "", BIKE]]]);
    expect(await ways({ lines: goods(8_001) })).toEqual([[trunk, ["munich", "", VAN]]]);
    expect(await ways({ address: addressIn("DE", "86150") })).toEqual([[trunk, ["munich", "", VAN]]]);
    expect(await ways({ address: addressIn("DE", "60311") })).toEqual([[["frankfurt", "", BIKE]]]);
    expect(await ways({ returnId: newId("ret") })).toEqual([
      [
        ["", "munich", BIKE],
        ["munich", "frankfurt", VAN],
      ],
    ]);
  });

  it("is expected when its last tour arrives, once it is sorted", async () => {
    const { id } = await book();
    await shipping.sort();
    const { parcels, estimatedDeliveryTime } = await get(id);
    const [trunk, round] = parcels[0]?.legs ?? [];
    expect(minutesUntil(trunk?.departTime)).toBeGreaterThanOrEqual(30);
    expect(minutesUntil(round?.departTime) - minutesUntil(trunk?.departTime)).toBeGreaterThanOrEqual(270 + 30);
    expect(minutesUntil(estimatedDeliveryTime)).toBe(minutesUntil(round?.departTime) + 120);
  });

  it("moves with its parcels, and tells what came back", async () => {
    const { id, parcels } = await book({ lines: goods(20_000, 2n) });
    const [one = "", two = ""] = parcels.map((parcel) => parcel.id);
    expect(await scan(one, "SORTED", "frankfurt")).toMatchObject({
      effective: true,
      parcel: { state: Parcel_State.SORTED },
    });
    expect((await get(id)).state).toBe(Shipment_State.BOOKED);
    await scan(one, "OUT_FOR_DELIVERY");
    expect((await get(id)).state).toBe(Shipment_State.IN_TRANSIT);
    await scan(one, "DELIVERED");
    await scan(two, "RETURNED", "frankfurt");
    const ended = await get(id);
    expect(ended.state).toBe(Shipment_State.DELIVERED);
    expect(ended.estimatedDeliveryTime).toBeUndefined();
    expect(await scan(one, "RETURNED")).toMatchObject({ effective: false, parcel: { state: Parcel_State.DELIVERED } });
  });

  it("can be called off until a parcel is loaded, which gives the room in its tours back", async () => {
    const room = () => shipping.db.query("select sum(taken_grams) as grams, sum(taken_ml) as ml from tours");
    const before = await room();
    const shipment = await book({ lines: goods(20_000, 2n) });
    await shipping.sort();
    expect(await room()).not.toEqual(before);
    await scan(shipment.parcels[0]?.id ?? "", "SORTED", "frankfurt");
    expect(await tryCancel(shipment.id)).toMatchObject({ value: { shipment: { state: Shipment_State.CANCELLED } } });
    expect(await room()).toEqual(before);
    expect(await get(shipment.id)).toMatchObject({ state: Shipment_State.CANCELLED, estimatedDeliveryTime: undefined });
    expect(await scan(shipment.parcels[0]?.id ?? "", "LOADED")).toMatchObject({ effective: false });

    const loaded = await book();
    await scan(parcelIdOf(loaded), "LOADED");
    expect(await tryCancel(loaded.id)).toMatchObject({
      error: { code: "FAILED_PRECONDITION", reason: "ALREADY_LOADED", metadata: { state: "IN_TRANSIT" } },
    });
    const unsorted = await book();
    await tryCancel(unsorted.id);
    await shipping.sort();
    expect((await get(unsorted.id)).parcels[0]?.legs).toEqual([]);
  });

  it("is its buyer's to see, and staff's", async () => {
    const buyer = newId("usr");
    const { id } = await book({ customerId: buyer });
    const outcome = async (user: Parameters<typeof as>[0]) => {
      const result = await client().try.getShipment({ shipmentId: id }, as(user));
      return result.ok ? "seen" : result.error.reason;
    };
    expect(await outcome({ id: buyer, kind: "guest" })).toBe("seen");
    expect(await outcome({ roles: ["courier"] })).toBe("seen");
    expect(await outcome({})).toBe("SHIPMENT_NOT_FOUND");
  });
});

describe("a scan", () => {
  it("is refused when it is of the future, too old, of no parcel, or in no depot", async () => {
    const parcelId = parcelIdOf(await book());
    const now = shipping.clock.now().getTime();
    const refused = async (...of: Parameters<typeof tryScan>) => {
      const result = await tryScan(...of);
      return result.ok ? "taken in" : [result.error.reason, ...result.error.violations.map(({ field }) => field)];
    };
    const invalid = (field: string) => ["INVALID_REQUEST", field];
    expect(await refused(parcelId, "LOADED", { scanTime: new Date(now + 61_000) })).toEqual(invalid("scan_time"));
    expect(await refused(parcelId, "LOADED", { scanTime: new Date(now - 31 * 24 * 3_600_000) })).toEqual(
      invalid("scan_time"),
    );
    expect(await refused(parcelId, "LOADED", { depot: "atlantis" })).toEqual(invalid("depot"));
    expect(await refused(newId("pcl"), "LOADED")).toEqual(["PARCEL_NOT_FOUND"]);
    expect(await refused(parcelId, "LOADED", { scanTime: new Date(now + 59_000) })).toBe("taken in");
  });
});

describe("lists", () => {
  it("show a buyer their own shipments, the newest first, page by page", async () => {
    const buyer = { id: newId("usr") };
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.unshift((await book({ customerId: buyer.id })).id);
    await tryCancel(ids[2] ?? "");
    await book();
    const page = (pageToken: string, state: Shipment_State = Shipment_State.UNSPECIFIED) =>
      client().listShipments({ orderId: "", state, pageSize: 2, pageToken }, as(buyer));
    const first = await page("");
    const second = await page(first.nextPageToken);
    const third = await page(second.nextPageToken);
    const pages = [first, second, third].map(({ shipments }) => shipments.map(({ id }) => id));
    expect(pages).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
    expect(third.nextPageToken).toBe("");
    expect((await page("", Shipment_State.CANCELLED)).shipments.map(({ id }) => id)).toEqual([ids[2]]);
    await expect(page(first.nextPageToken, Shipment_State.BOOKED)).rejects.toMatchObject({
      reason: "INVALID_PAGE_TOKEN",
    });
  });

  it("show staff everybody's, also by order", async () => {
    const { id, orderId } = await book();
    const call = service("operator");
    const list = { state: Shipment_State.BOOKED, pageSize: 0, pageToken: "" };
    const { shipments } = await client("operator").listShipments({ ...list, orderId }, call);
    expect(shipments.map((shipment) => shipment.id)).toEqual([id]);
    const all = await client("operator").listShipments({ ...list, orderId: "" }, call);
    expect(all.shipments.length).toBeGreaterThan(1);
  });

  it("show a depot its parcels in the order in which their tours leave", async () => {
    const address = addressIn("DE", "20095");
    const booked = [
      await book({ address }),
      await book({ address, lines: goods(9_000) }),
      await book({ address }, "EXPRESS"),
    ];
    await shipping.sort();
    const list = (state: Parcel_State, pageToken = "") =>
      client().listParcels({ depot: "hamburg", state, pageSize: 2, pageToken }, as(courier));
    const first = await list(Parcel_State.UNSPECIFIED);
    const second = await list(Parcel_State.UNSPECIFIED, first.nextPageToken);
    const parcels = [...first.parcels, ...second.parcels];
    expect(parcels.map(({ id }) => id).toSorted()).toEqual(booked.map(parcelIdOf).toSorted());
    const departures = parcels.map(({ legs }) => legs.at(-1)?.departTime?.getTime() ?? 0);
    expect(departures).toEqual(departures.toSorted((a, b) => a - b));
    expect(second.nextPageToken).toBe("");
    const delivered = parcels[0]?.id ?? "";
    await scan(delivered, "DELIVERED");
    const open = await client().listParcels({ depot: "hamburg", state: 0, pageSize: 0, pageToken: "" }, as(courier));
    expect(open.parcels).toHaveLength(2);
    expect((await list(Parcel_State.DELIVERED)).parcels.map(({ id }) => id)).toEqual([delivered]);
  });
});
