import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Parcel_State, Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import { newId } from "#mesh/ids.ts";
import { openDatabase } from "#mesh/postgres/index.ts";
import { cutWhileHeld, holdLocks } from "#testing/locks.ts";
import { sortDue } from "./sorter.ts";
import { addressIn, callersOf, goods, parcelIdOf, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { book, get, request, tryCancel, tryCreate, tryScan } = callersOf(() => shipping);

const outcomesOf = (results: readonly ({ ok: true } | { ok: false; error: { reason: string } })[]) =>
  results.map((result) => (result.ok ? "ok" : result.error.reason)).toSorted();

/** What is taken of each tour, and what its parcels come to that are not called off. */
const tours = () =>
  shipping.db.query<{ readonly taken: bigint; readonly inside: bigint; readonly capacity: bigint }>(
    `select t.taken_grams::bigint as taken, t.capacity_grams::bigint as capacity,
       coalesce(sum(p.weight_grams) filter (where p.state <> 'CANCELLED'), 0)::bigint as inside
     from tours t left join parcel_legs l on l.tour_id = t.id left join parcels p on p.id = l.parcel_id group by t.id`,
  );

async function expectToursToAddUp(): Promise<void> {
  for (const { taken, inside, capacity } of await tours()) {
    expect(taken).toBe(inside);
    expect(taken).toBeLessThanOrEqual(capacity);
  }
}

describe("at the same time", () => {
  test("two requests for an order make one shipment", async () => {
    const orderId = newId("ord");
    const results = await Promise.all([tryCreate(request({ orderId })), tryCreate(request({ orderId }))]);
    expect(outcomesOf(results)).toEqual(["SHIPMENT_EXISTS", "ok"]);
  });

  test("one id for two orders books for one of them", async () => {
    const requestId = newId("req");
    const results = await Promise.all([tryCreate(request({ requestId })), tryCreate(request({ requestId }))]);
    expect(outcomesOf(results)).toEqual(["REQUEST_ID_REUSED", "ok"]);
  });

  test("a shipment is called off or goes", async () => {
    for (let round = 0; round < 10; round += 1) {
      const shipment = await book();
      const [cancelled, loaded] = await Promise.all([tryCancel(shipment.id), tryScan(parcelIdOf(shipment), "LOADED")]);
      if (!loaded.ok) throw loaded.error;
      expect(loaded.value.effective).toBe(!cancelled.ok);
      const { state } = await get(shipment.id);
      expect(state).toBe(cancelled.ok ? Shipment_State.CANCELLED : Shipment_State.IN_TRANSIT);
    }
  });

  test("a parcel ends in one way, and its shipment is told of once", async () => {
    const shipment = await book();
    const parcelId = parcelIdOf(shipment);
    const kinds = ["DELIVERED", "RETURNED", "DELIVERED", "FAILED", "LOADED", "OUT_FOR_DELIVERY"] as const;
    const start = shipping.clock.now().getTime();
    const results = await Promise.all(
      kinds.map((kind, at) => tryScan(parcelId, kind, { scanTime: new Date(start + at) })),
    );
    expect(outcomesOf(results)).toEqual(kinds.map(() => "ok"));
    const { state, parcels } = await get(shipment.id);
    expect([Shipment_State.DELIVERED, Shipment_State.RETURNED]).toContain(state);
    expect(parcels[0]?.scans).toHaveLength(kinds.length);
    const events = await shipping.db.query<{ readonly state: string }>(
      "select state from shipment_events where shipment_id = $1 order by xid, seq",
      [shipment.id],
    );
    expect(events.filter((event) => event.state !== "IN_TRANSIT")).toHaveLength(1);
  });

  test("several workers fill tours to their capacity and never beyond, while shipments are called off", async () => {
    const others = await Promise.all(
      [1, 2].map(async () => openDatabase({ url: shipping.url, log: shipping.deps.log, applicationName: "worker" })),
    );
    await shipping.db.query("update vehicles set capacity_grams = 400000 where id like 'van-%'");
    await shipping.network.reread();
    try {
      const addresses = ["80995", "86150", "20095", "60311"].map((code) => addressIn("DE", code));
      const booked = await Promise.all(
        Array.from({ length: 60 }, (_, at) => book({ address: addresses[at % 4], lines: goods(90_000, 2n) })),
      );
      const before = shipping.retries();
      const worker = async (db: TestShipping["db"]): Promise<void> => {
        while ((await sortDue({ ...shipping.deps, db })) > 0);
      };
      await Promise.all([
        ...[shipping.db, ...others].map(worker),
        ...booked.slice(0, 20).map(async ({ id }) => expect(await tryCancel(id)).toMatchObject({ ok: true })),
      ]);
      // A deadlock would be resolved by the database, and its victim run again.
      expect(shipping.retries()).toBe(before);
      await expectToursToAddUp();
      for (const { id } of booked.slice(20)) {
        for (const { legs } of (await get(id)).parcels) expect(legs.length).toBeGreaterThan(0);
      }
    } finally {
      for (const db of others) await db.close();
    }
  });
});

describe("cut half-way", () => {
  const cut = async <T>(held: string, key: string, begin: () => Promise<T>, whileCut?: () => Promise<void>) =>
    cutWhileHeld(shipping.db, await holdLocks(shipping.db, held, [key]), { begin, whileCut });
  const shipmentRow = "select 1 from shipments where id = $1 for update";
  const depotRow = "select 1 from depots where id = $1 for update";

  test("a booking books once", async () => {
    const given = request();
    const held = await holdLocks(shipping.db, "lock table parcels in share mode");
    const result = await cutWhileHeld(shipping.db, held, {
      begin: () => tryCreate(given),
      whileCut: async () => {
        const rows = await shipping.db.query("select id from shipments where order_id = $1", [given.orderId]);
        expect(rows).toEqual([]);
      },
    });
    expect(await tryCreate(given)).toEqual(result);
  });

  test("a scan moves its parcel once", async () => {
    const shipment = await book();
    const result = await cut(shipmentRow, shipment.id, () => tryScan(parcelIdOf(shipment), "LOADED"));
    expect(result).toMatchObject({ value: { effective: true, parcel: { state: Parcel_State.LOADED } } });
    expect((await get(shipment.id)).parcels[0]?.scans).toHaveLength(1);
  });

  test("a cancellation gives room back once", async () => {
    const shipment = await book();
    await shipping.sort();
    const result = await cut(depotRow, "munich", () => tryCancel(shipment.id));
    expect(result).toMatchObject({ value: { shipment: { state: Shipment_State.CANCELLED } } });
    await expectToursToAddUp();
  });

  test("sorting leaves nothing half-done, and is done again", async () => {
    const shipment = await book();
    // Cut, it tries each alone.
    const sorted = await cut(
      depotRow,
      "munich",
      () => sortDue(shipping.deps),
      async () => expect((await get(shipment.id)).parcels[0]?.legs).toEqual([]),
    );
    expect(sorted).toBe(1);
    expect((await get(shipment.id)).parcels[0]?.legs).toHaveLength(2);
    await expectToursToAddUp();
  });
});
