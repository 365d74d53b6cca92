import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newId } from "#mesh/ids.ts";
import { cutWhileHeld, holdLocks } from "#testing/locks.ts";
import { addressIn, callersOf, parcelIdOf, startTestShipping, type TestShipping } from "./testing/shipping.ts";

let shipping: TestShipping;
beforeAll(async () => {
  shipping = await startTestShipping();
});
afterAll(() => shipping?.close());

const { book, client, get, request, scan, service, tryCancel, tryCreate, tryScan } = callersOf(() => shipping);

const address = { ...addressIn("DE", "80331"), recipient: "Zacharias Unmistakable", lines: ["Unmistakable Lane 17"] };

const erase = async (customerId: string, requestId = newId("req")) => {
  const { erasures } = await client("customers").eraseCustomerData({ requestId, customerId }, service("customers"));
  const [shipments, answers] = erasures.map(({ place, erasedCount, leftCount }) => ({ place, erasedCount, leftCount }));
  expect(answers?.place).toBe("shipping.once_requests");
  return shipments === undefined ? [] : [shipments];
};
const exported = async (customerId: string) => {
  const records: unknown[] = [];
  const stream = client("customers").exportCustomerData({ customerId }, service("customers"));
  for await (const { record } of stream) records.push({ ...record, json: JSON.parse(record?.json ?? "") });
  return records;
};
/** Whether any row of any table says so. */
const isAnywhere = async (text: string): Promise<boolean> => {
  const tables = await shipping.db.query<{ readonly name: string }>(
    "select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'",
  );
  expect(tables.length).toBeGreaterThan(10);
  const session = await shipping.db.session();
  try {
    for (const { name } of tables) {
      const found = await session.query(
        `select 1 from ${name} t where t::text like '%' || $1 || '%' or t::text like '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%'`,
        [text],
      );
      if (found.length > 0) return true;
    }
    return false;
  } finally {
    await session.close();
  }
};

describe("what is held on a person", () => {
  it("is given out, each of their shipments", async () => {
    const customerId = newId("usr");
    const shipments = [await book({ customerId }), await book({ customerId })];
    await book();
    await scan(parcelIdOf(shipments[0] ?? expect.fail()), "LOADED");
    expect(await exported(customerId)).toEqual(
      shipments.map(({ id, orderId }) => ({
        kind: "shipment",
        id,
        json: expect.objectContaining({ id, orderId, customerId, address: addressIn("DE", "80331") }),
      })),
    );
    expect(await exported(newId("usr"))).toEqual([]);
  });

  it("is erased once it is not on its way, and nothing of it is left in any table", async () => {
    const customerId = newId("usr");
    const [called, delivered] = [await book({ customerId, address }), await book({ customerId, address })];
    await tryCancel(called.id);
    const requestId = newId("req");
    const place = "shipping.shipments";
    expect(await isAnywhere("Unmistakable")).toBe(true);
    expect(await erase(customerId, requestId)).toEqual([{ place, erasedCount: 1n, leftCount: 1n }]);
    expect((await get(called.id)).address).toBeUndefined();
    await tryScan(parcelIdOf(delivered), "DELIVERED", { note: "handed to Mrs Unmistakable" });
    expect(await erase(customerId, requestId)).toEqual([{ place, erasedCount: 2n, leftCount: 0n }]);
    expect((await get(delivered.id)).address).toBeUndefined();
    expect(await isAnywhere("Unmistakable")).toBe(false);
  });

  it("is not looked at to know a request again whose address was erased", async () => {
    const given = request();
    const first = await tryCreate(given);
    if (!first.ok) throw first.error;
    const id = first.value.shipment?.id ?? "";
    await tryCancel(id);
    await erase(given.customerId);
    expect(await tryCreate(given)).toMatchObject({ ok: true, value: { shipment: { id, address: undefined } } });
  });
});

describe("an erasure", () => {
  it("of what is just being delivered leaves it or erases it, and the next one erases it", async () => {
    for (let round = 0; round < 5; round += 1) {
      const shipment = await book();
      const { customerId } = shipment;
      const [[erasure], delivered] = await Promise.all([erase(customerId), tryScan(parcelIdOf(shipment), "DELIVERED")]);
      expect(delivered).toMatchObject({ value: { effective: true } });
      expect((await get(shipment.id)).address === undefined).toBe(erasure?.leftCount === 0n);
      expect(await erase(customerId)).toMatchObject([{ leftCount: 0n }]);
      expect((await get(shipment.id)).address).toBeUndefined();
    }
  });

  it("that is cut half-way counts what it did once", async () => {
    const shipment = await book();
    await tryCancel(shipment.id);
    const lock = "select 1 from shipments where id = $1 for update";
    const held = await holdLocks(shipping.db, lock, [shipment.id]);
    const erasures = await cutWhileHeld(shipping.db, held, { begin: () => erase(shipment.customerId) });
    expect(erasures).toEqual([{ place: "shipping.shipments", erasedCount: 1n, leftCount: 0n }]);
  });
});
