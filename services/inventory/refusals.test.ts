import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import { waiting } from "#testing/locks.ts";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());

const { operator, stocked, hold, held, release, stockOf } = callersOf(() => inventory);

const refusals = async (requestId: string): Promise<number> =>
  (
    await inventory.db.query("select 1 as found from reservations where request_id = $1 and state = 'REFUSED'", [
      requestId,
    ])
  ).length;

/** Adds a unit of a SKU, known before or not. */
const restocked = (sku: string) =>
  operator.client().adjustStock({ requestId: newId("req"), sku, delta: 1n, note: "" }, operator.call());

// Whoever is refused acts on it: an order is over then, and nobody would ever release what a late copy came to hold.
describe("a hold that is refused", () => {
  test("for want of stock stays refused, with what there was, when there is stock again", async () => {
    const sku = await stocked(1n);
    const all = await held([{ sku, quantity: 1n }]);
    const requestId = newId("req");
    const refused = await hold([{ sku, quantity: 1n }], 60n, requestId);
    expect(refused).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "OUT_OF_STOCK", metadata: { [`available.${sku}`]: "0" } },
    });
    await release(all);
    const late = await hold([{ sku, quantity: 1n }], 60n, requestId);
    expect(late).toMatchObject({
      ok: false,
      error: { reason: "OUT_OF_STOCK", metadata: { [`available.${sku}`]: "0" } },
    });
    expect(await stockOf(sku)).toMatchObject({ reserved: 0n, available: 1n });
    expect(await hold([{ sku, quantity: 1n }])).toMatchObject({ ok: true });
  });

  test("for a SKU that nobody stocked stays refused when it is stocked", async () => {
    const sku = `NEW-${newId("req").slice(4).toUpperCase()}`;
    const requestId = newId("req");
    expect(await hold([{ sku, quantity: 1n }], 60n, requestId)).toMatchObject({ error: { reason: "UNKNOWN_SKU" } });
    await restocked(sku);
    const late = await hold([{ sku, quantity: 1n }], 60n, requestId);
    expect(late).toMatchObject({ ok: false, error: { reason: "UNKNOWN_SKU", metadata: { sku } } });
    expect(await stockOf(sku)).toMatchObject({ reserved: 0n });
  });

  test("is no other request's: its id with another body is refused as reused", async () => {
    const sku = await stocked(1n);
    const requestId = newId("req");
    expect(await hold([{ sku, quantity: 2n }], 60n, requestId)).toMatchObject({ error: { reason: "OUT_OF_STOCK" } });
    expect(await hold([{ sku, quantity: 1n }], 60n, requestId)).toMatchObject({
      error: { reason: "REQUEST_ID_REUSED" },
    });
  });

  test("is noted once, however many copies come at once", async () => {
    const sku = await stocked(1n);
    const [short, unknown] = [newId("req"), newId("req")];
    const copies = (lines: Parameters<typeof hold>[0], requestId: string) =>
      Array.from({ length: 25 }, () => hold(lines, 60n, requestId));
    const results = await Promise.all([
      ...copies([{ sku, quantity: 2n }], short),
      ...copies([{ sku: "NOBODY-KNOWS", quantity: 1n }], unknown),
    ]);
    const reasons = new Set(results.map((result) => (result.ok ? "held" : result.error.reason)));
    expect([...reasons]).toEqual(["OUT_OF_STOCK", "UNKNOWN_SKU"]);
    expect([await refusals(short), await refusals(unknown)]).toEqual([1, 1]);
  });

  test("and is cut half-way is not noted, and decided when it is asked for again", async () => {
    const sku = await stocked(1n);
    const requestId = newId("req");
    // Whoever writes down the same key meanwhile has it wait half-way.
    const other = await inventory.db.session();
    await other.script("begin");
    await other.query(
      `insert into reservations (id, reference, state, expire_time, create_time, update_time, principal, request_id)
       values ('res_other', '', 'REFUSED', now(), now(), now(), 'service:orders', $1)`,
      [requestId],
    );
    const cut = hold([{ sku, quantity: 2n }], 60n, requestId);
    const [pid] = await waiting(inventory.db, 1);
    await inventory.db.query("select pg_terminate_backend($1)", [pid]);
    // The caller's runtime asks again, and that copy waits, too.
    await waiting(inventory.db, 1, pid);
    expect(await refusals(requestId)).toBe(0);
    await other.close();
    expect(await cut).toMatchObject({ ok: false, error: { reason: "OUT_OF_STOCK" } });
    expect(await refusals(requestId)).toBe(1);
  });

  test("for units that others hold beyond their time is not refused at all", async () => {
    const sku = await stocked(1n);
    await held([{ sku, quantity: 1n }], 1n);
    inventory.clock.advance(2_000);
    const requestId = newId("req");
    expect(await hold([{ sku, quantity: 1n }], 60n, requestId)).toMatchObject({ ok: true });
    expect(await refusals(requestId)).toBe(0);
  });
});
