import { randomBytes } from "node:crypto";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import { newId } from "#mesh/ids.ts";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { startShipping } from "./service.ts";
import { sortDue } from "./sorter.ts";
import { addressIn, callersOf, goods, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { book, get } = callersOf(() => shipping);

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
    // An id that is taken already: its legs violate their key.
    const [tour] = await shipping.db.query<{ readonly id: string }>("select id from tours limit 1");
    await shipping.db.query(
      `insert into parcel_legs (parcel_id, position, from_depot, to_depot, depot, vehicle, tour_id, depart_time)
       values ($1, 0, 'frankfurt', '', 'frankfurt', 'VAN', $2, now())`,
      [bad.parcels[0]?.id, tour?.id],
    );
    expect(await sortDue(shipping.deps)).toBe(2);
    expect((await get(good.id)).parcels[0]?.legs).toHaveLength(2);
    expect(await sortDue(shipping.deps)).toBe(0);
    shipping.clock.advance(5 * 60_000);
    expect(await sortDue(shipping.deps)).toBe(1);
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
