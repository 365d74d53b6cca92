import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Movement_Kind } from "#gen/shop/inventory/v1/stock.ts";
import { newId } from "#mesh/ids.ts";
import { sweepOnce } from "#mesh/postgres/once.ts";
import { waiting } from "#testing/locks.ts";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";
import { holdStock } from "./testing/locks.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());

const { orders, operator, stocked, held, sold, commit, restock, stockOf, reservation } = callersOf(() => inventory);

const restocked = async (id: string) => (await reservation(id)).lines.map((line) => line.restockedQuantity);
const movementsOf = async (sku: string) =>
  (await operator.client().listMovements({ sku, pageSize: 0, pageToken: "" }, operator.call())).movements;

/** What was stocked is on hand or sold, and the reservations' lines and the books agree on it. */
async function expectBalance(sku: string, stockedUnits: bigint): Promise<void> {
  const [lines] = await inventory.db.query<{ readonly sold: bigint }>(
    `select coalesce(sum(quantity - restocked_quantity), 0)::bigint as sold
     from reservation_lines join reservations r on r.id = reservation_id where sku = $1 and r.state = 'COMMITTED'`,
    [sku],
  );
  const { onHand } = await stockOf(sku);
  expect({ sku, total: (onHand ?? 0n) + (lines?.sold ?? 0n) }).toEqual({ sku, total: stockedUnits });
  expect((await movementsOf(sku)).reduce((sum, { onHandDelta }) => sum + onHandDelta, 0n)).toBe(onHand);
}

describe("sold units that come back", () => {
  test("are in stock again, counted on their lines and booked", async () => {
    const [a, b] = [await stocked(5n), await stocked(5n)];
    const id = await sold([
      { sku: a, quantity: 3n },
      { sku: b, quantity: 2n },
    ]);
    const result = await restock(id, [{ sku: a, quantity: 2n }]);
    expect(result).toMatchObject({
      ok: true,
      value: {
        reservation: { id, lines: [{ sku: a, quantity: 3n, restockedQuantity: 2n }, { restockedQuantity: 0n }] },
      },
    });
    expect(await restocked(id)).toEqual([2n, 0n]);
    expect(await stockOf(a)).toEqual({ onHand: 4n, reserved: 0n, available: 4n });
    expect(await stockOf(b)).toMatchObject({ onHand: 3n });
    expect((await movementsOf(a))[0]).toMatchObject({
      kind: Movement_Kind.RESTOCKED,
      onHandDelta: 2n,
      reservedDelta: 0n,
      reference: id,
    });
    await expectBalance(a, 5n);
    await expectBalance(b, 5n);
  });

  test("change no answer to a commit of what was sold already, under whatever id", async () => {
    const sku = await stocked(5n);
    const id = await sold([{ sku, quantity: 3n }]);
    const requestId = newId("req");
    const before = await commit(id, requestId); // it was sold under another id
    expect(before).toMatchObject({ ok: true });
    expect(await restock(id, [{ sku, quantity: 1n }])).toMatchObject({ ok: true });
    expect(await commit(id, requestId)).toEqual(before);
  });

  test("come back in parts, until all have", async () => {
    const sku = await stocked(5n);
    const id = await sold([{ sku, quantity: 3n }]);
    expect(await restock(id, [{ sku, quantity: 1n }])).toMatchObject({ ok: true });
    expect(await restock(id, [{ sku, quantity: 2n }])).toMatchObject({ ok: true });
    expect(await restock(id, [{ sku, quantity: 1n }])).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "QUANTITY_TOO_LARGE", metadata: { sku, restockable: "0" } },
    });
    await expectBalance(sku, 5n);
  });

  test("come back on all lines or on none", async () => {
    const [a, b] = [await stocked(5n), await stocked(5n)];
    const id = await sold([
      { sku: a, quantity: 3n },
      { sku: b, quantity: 2n },
    ]);
    const result = await restock(id, [
      { sku: a, quantity: 1n },
      { sku: b, quantity: 3n },
    ]);
    expect(result).toMatchObject({
      ok: false,
      error: { reason: "QUANTITY_TOO_LARGE", metadata: { sku: b, restockable: "2" } },
    });
    expect(await restocked(id)).toEqual([0n, 0n]);
    expect(await stockOf(a)).toMatchObject({ onHand: 2n });
  });

  test("are of the reservation, and of one that is committed", async () => {
    const [sku, other] = [await stocked(5n), await stocked(5n)];
    const id = await sold([{ sku, quantity: 1n }]);
    expect(await restock(id, [{ sku: other, quantity: 1n }])).toMatchObject({
      ok: false,
      error: { reason: "QUANTITY_TOO_LARGE", metadata: { sku: other, restockable: "0" } },
    });
    const active = await held([{ sku, quantity: 1n }]);
    expect(await restock(active, [{ sku, quantity: 1n }])).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "RESERVATION_NOT_COMMITTED", metadata: { state: "ACTIVE" } },
    });
    expect(await restock("res_nobody", [{ sku, quantity: 1n }])).toMatchObject({
      ok: false,
      error: { code: "NOT_FOUND", reason: "RESERVATION_NOT_FOUND" },
    });
    expect(await stockOf(sku)).toEqual({ onHand: 4n, reserved: 1n, available: 3n });
  });

  test("are seen by those who watch the stock", async () => {
    const sku = await stocked(2n);
    const id = await sold([{ sku, quantity: 2n }]);
    const seen: bigint[] = [];
    for await (const { stock } of orders.client().watchStock({ skus: [sku], resumeToken: "" }, orders.call())) {
      seen.push(stock?.available ?? -1n);
      if (seen.length === 2) break;
      await restock(id, [{ sku, quantity: 1n }]);
    }
    expect(seen).toEqual([0n, 1n]);
  });
});

describe("a repeated request", () => {
  test("restocks once however late it comes, and gets the first answer", async () => {
    const sku = await stocked(5n);
    const id = await sold([{ sku, quantity: 4n }]);
    const requestId = newId("req");
    const first = await restock(id, [{ sku, quantity: 1n }], requestId);
    await restock(id, [{ sku, quantity: 2n }]);
    // Beyond any retention: nothing that is swept is left.
    inventory.clock.advance(365 * 24 * 3_600_000);
    await sweepOnce(inventory.db, inventory.clock.now());
    expect(await restock(id, [{ sku, quantity: 1n }], requestId)).toEqual(first);
    expect(await restocked(id)).toEqual([3n]);
    await expectBalance(sku, 5n);
  });

  test("fifty times at once restocks once, and gets one answer", async () => {
    const sku = await stocked(60n);
    const id = await sold([{ sku, quantity: 60n }]);
    const requestId = newId("req");
    const results = await Promise.all(
      Array.from({ length: 50 }, () => restock(id, [{ sku, quantity: 1n }], requestId)),
    );
    for (const result of results) expect(result).toEqual(results[0]);
    expect(results[0]?.ok).toBe(true);
    expect(await stockOf(sku)).toMatchObject({ onHand: 1n });
  });

  test("is refused with another body, also when the other one is of another reservation, at the same time", async () => {
    const sku = await stocked(9n);
    const [one, two] = [await sold([{ sku, quantity: 3n }]), await sold([{ sku, quantity: 3n }])];
    const requestId = newId("req");
    const lines = [{ sku, quantity: 1n }];
    const results = await Promise.all([restock(one, lines, requestId), restock(two, lines, requestId)]);
    const reasons = results.map((result) => (result.ok ? "ok" : result.error.reason));
    expect(reasons.sort()).toEqual(["REQUEST_ID_REUSED", "ok"]);
    for (const id of [one, two]) {
      expect(await restock(id, [{ sku, quantity: 2n }], requestId)).toMatchObject({
        ok: false,
        error: { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED" },
      });
    }
    expect(await stockOf(sku)).toMatchObject({ onHand: 4n });
    await expectBalance(sku, 9n);
  });
});

describe("at the same time", () => {
  test("two that want the same units back get them once", async () => {
    const sku = await stocked(20n);
    for (let round = 0; round < 5; round += 1) {
      const id = await sold([{ sku, quantity: 3n }]);
      // Both wait for the same reservation, with the stock held from outside, so that they do meet.
      const lock = await holdStock(inventory.db, sku);
      const both = Promise.all([restock(id, [{ sku, quantity: 2n }]), restock(id, [{ sku, quantity: 2n }])]);
      await waiting(inventory.db, 2);
      await lock.release();
      const reasons = (await both).map((result) => (result.ok ? "ok" : result.error.reason));
      expect(reasons.sort()).toEqual(["QUANTITY_TOO_LARGE", "ok"]);
      expect(await restocked(id)).toEqual([2n]);
    }
    await expectBalance(sku, 20n);
  });

  test("a restock and the commit before it come in one order or the other", async () => {
    const sku = await stocked(20n);
    for (let round = 0; round < 10; round += 1) {
      const id = await held([{ sku, quantity: 1n }]);
      const [back, committed] = await Promise.all([restock(id, [{ sku, quantity: 1n }]), commit(id)]);
      expect(committed.ok).toBe(true);
      if (!back.ok) expect(back.error.reason).toBe("RESERVATION_NOT_COMMITTED");
      expect(await restocked(id)).toEqual([back.ok ? 1n : 0n]);
    }
    await expectBalance(sku, 20n);
  });

  test("one that is cut half-way leaves nothing, and is done once when it is asked for again", async () => {
    const sku = await stocked(5n);
    const id = await sold([{ sku, quantity: 3n }]);
    const requestId = newId("req");
    const lock = await holdStock(inventory.db, sku);
    const cut = restock(id, [{ sku, quantity: 2n }], requestId);
    const [pid] = await waiting(inventory.db, 1);
    await inventory.db.query("select pg_terminate_backend($1)", [pid]);
    // The caller's runtime asks again, as the RPC may be repeated; that copy waits for the stock, too.
    await waiting(inventory.db, 1, pid);
    expect(await restocked(id)).toEqual([0n]);
    await lock.release();
    expect(await cut).toMatchObject({ ok: true });
    expect(await restock(id, [{ sku, quantity: 2n }], requestId)).toEqual(await cut);
    expect(await restocked(id)).toEqual([2n]);
    await expectBalance(sku, 5n);
  });
});

test("no more can come back than was sold, whatever the code may do", async () => {
  const sku = await stocked(2n);
  const id = await sold([{ sku, quantity: 1n }]);
  const beyond = inventory.db.query("update reservation_lines set restocked_quantity = 2 where reservation_id = $1", [
    id,
  ]);
  await expect(beyond).rejects.toThrow("reservation_lines_restocked_within_quantity");
});
