import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import { newId } from "#mesh/ids.ts";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { replaceMissed } from "./missed-tours.ts";
import { startShipping } from "./service.ts";
import { sortDue } from "./sorter.ts";
import { addressIn, callersOf, goods, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { book, get, scan, tryScan } = callersOf(() => shipping);

describe("sorting", () => {
  it("lets what finds no room wait, and sorts the others", async () => {
    const restore = "update sorting_settings set max_days_ahead = 28";
    await shipping.db.query("update sorting_settings set max_days_ahead = 1");
    await shipping.db.query(
      "update vehicles set capacity_grams = 400000 where depot = 'hamburg' or to_depot = 'hamburg'",
    );
    await shipping.network.reread();
    // More than all vans of two days take.
    const heavy = await book({ address: addressIn("DE", "24103"), lines: goods(390_000, 60n) });
    const light = await book({ address: addressIn("DE", "20095") });
    await shipping.sort();
    expect((await get(heavy.id)).parcels.every(({ legs }) => legs.length === 0)).toBe(true);
    expect((await get(light.id)).parcels[0]?.legs).toHaveLength(2);
    await shipping.db.query(restore);
    await shipping.network.reread();
    await shipping.sort();
    expect((await get(heavy.id)).parcels[0]?.legs).toEqual([]);
    shipping.clock.advance(5 * 60_000);
    await shipping.sort();
    expect((await get(heavy.id)).parcels.every(({ legs }) => legs.length === 2)).toBe(true);
  });

  it("is not kept from the others by one that it cannot do", async () => {
    const [bad, good] = [await book({}, "EXPRESS"), await book()];
    const planted = `alter table parcel_legs add constraint planted check (parcel_id <> '${bad.parcels[0]?.id}')`;
    const session = await shipping.db.session();
    await session.script(planted);
    expect(await sortDue(shipping.deps)).toBe(2);
    expect((await get(good.id)).parcels[0]?.legs).toHaveLength(2);
    expect(await sortDue(shipping.deps)).toBe(0);
    shipping.clock.advance(5 * 60_000);
    expect(await sortDue(shipping.deps)).toBe(1);
    await session.script("alter table parcel_legs drop constraint planted");
    await session.close();
    shipping.clock.advance(5 * 60_000);
    await shipping.sort();
    expect((await get(bad.id)).parcels[0]?.legs).toHaveLength(2);
  });
});

describe("a parcel that was not loaded when its tour left", () => {
  /** Two parcels with tours, both of which have left two hours ago. */
  async function leftBehind() {
    const shipment = await book({ lines: goods(20_000, 2n) });
    await shipping.sort();
    const [first] = (await get(shipment.id)).parcels[0]?.legs ?? [];
    const left = (first?.departTime?.getTime() ?? 0) + 2 * 3_600_000 + 1;
    return { shipment, pass: () => shipping.clock.set(new Date(left)) };
  }
  const departures = async (id: string) =>
    (await get(id)).parcels.map(({ legs }) => legs.map(({ departTime }) => departTime?.getTime() ?? 0));

  it("gets another one, and leaves its room in the first", async () => {
    const { shipment, pass } = await leftBehind();
    const [one = "", two = ""] = shipment.parcels.map(({ id }) => id);
    await scan(one, "LOADED", "frankfurt");
    await scan(two, "SORTED", "frankfurt");
    const before = await departures(shipment.id);
    expect(await replaceMissed(shipping.deps)).toBe(0);
    pass();
    expect(await replaceMissed(shipping.deps)).toBeGreaterThan(0);
    await shipping.sort();
    const after = await departures(shipment.id);
    // The other one is on its way.
    expect(after[0]).toEqual(before[0]);
    expect(after[1]).toHaveLength(2);
    for (const time of after[1] ?? []) expect(time).toBeGreaterThan(shipping.clock.now().getTime());
    expect(await replaceMissed(shipping.deps)).toBe(0);
    const [{ wrong = -1 } = {}] = await shipping.db.query<{ readonly wrong: number }>(
      `select count(*)::int as wrong from tours t where taken_grams <> (
         select coalesce(sum(p.weight_grams), 0) from parcel_legs l join parcels p on p.id = l.parcel_id
         where l.tour_id = t.id and p.state <> 'CANCELLED')`,
    );
    expect(wrong).toBe(0);
  });

  it("keeps it when it is loaded at the same moment, or gets another one, and never both", async () => {
    for (let round = 0; round < 5; round += 1) {
      const { shipment, pass } = await leftBehind();
      pass();
      const [one = "", two = ""] = shipment.parcels.map(({ id }) => id);
      const [, ...scans] = await Promise.all([
        Promise.all([replaceMissed(shipping.deps), replaceMissed(shipping.deps)]),
        tryScan(one, "LOADED"),
        tryScan(two, "LOADED"),
      ]);
      for (const scanned of scans) expect(scanned).toMatchObject({ value: { effective: true } });
      await shipping.sort();
      for (const legs of await departures(shipment.id)) expect(legs).toHaveLength(2);
    }
  });
});

describe("the service as it runs", () => {
  let mesh: TestMesh;
  let service: Awaited<ReturnType<typeof startShipping>>;
  beforeAll(async () => {
    service = await startShipping({
      ...{ db: shipping.db, clock: systemClock, newId, log: pino({ level: "silent" }), currencyCode: "EUR" },
      ...{ sealingKey: randomBytes(SEALING_KEY_BYTES), courier: "simulated" },
      courierTimings: { roundMs: 20, stepMs: 100 },
    });
    mesh = await startTestMesh({ shipping: () => service.implementations });
  });
  afterAll(async () => {
    await service?.close();
    await mesh?.close();
  });

  it("brings what was quoted and booked to its buyer, while they watch", async () => {
    const client = mesh.mesh("orders").client(ShippingService);
    const call = mesh.mesh("orders").background({ name: "test", timeoutMs: 50_000 });
    const order = { address: addressIn("DE", "60311"), lines: goods(900) };
    const { rates } = await client.quoteRates({ ...order, subtotal: { currencyCode: "EUR", minorUnits: 1n } }, call);
    const customerId = newId("usr");
    const { shipment } = await client.createShipment(
      {
        ...order,
        ...{ requestId: newId("req"), orderId: newId("ord"), returnId: "", customerId, rateId: rates[0]?.id ?? "" },
      },
      call,
    );
    const stream = mesh
      .mesh("gateway")
      .client(ShippingService)
      .watchShipment(
        { shipmentId: shipment?.id ?? "", resumeToken: "" },
        mesh.call({ user: { id: customerId }, timeoutMs: 50_000 }),
      );
    const states: number[] = [];
    for await (const { shipment: seen } of stream) states.push(seen?.state ?? -1);
    expect(states.at(-1)).toBe(Shipment_State.DELIVERED);
    expect(states).toContain(Shipment_State.IN_TRANSIT);
    call.done();
  });
});
