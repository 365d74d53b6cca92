import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { Movement_Kind, Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { expireDue } from "./expiry.ts";
import { inventoryHandlers } from "./handlers.ts";
import { startStockWatch } from "./stock-watch.ts";

const log = pino({ level: "silent" });
const clock = fakeClock();
let database: TestDatabase;
let shop: TestMesh;
let watch: ReturnType<typeof startStockWatch>;

beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  watch = startStockWatch({ db: database.db, log, tooMany: () => new Error("too many") });
  const deps = { db: database.db, clock, newId, watch, log };
  shop = await startTestMesh({ inventory: () => [implement(InventoryService, inventoryHandlers(deps))] });
});

afterAll(async () => {
  await watch.close();
  await shop.close();
  await database.close();
});

const asOrders = (timeoutMs = 10_000): Call => shop.mesh("orders").background({ name: "test", timeoutMs });
const asOperator = (): Call => shop.mesh("operator").background({ name: "test", timeoutMs: 10_000 });
const orders = () => shop.mesh("orders").client(InventoryService);
const operator = () => shop.mesh("operator").client(InventoryService);

let skus = 0;
async function stocked(quantity: bigint): Promise<string> {
  skus += 1;
  const sku = `SKU-${skus}`;
  await operator().adjustStock({ requestId: newId("req"), sku, delta: quantity, note: "opening" }, asOperator());
  return sku;
}

const hold = (lines: readonly { sku: string; quantity: bigint }[], seconds = 60n, requestId = newId("req")) =>
  orders().try.createReservation(
    { requestId, reference: "ord_1", lines, timeToLive: { seconds, nanos: 0 } },
    asOrders(),
  );

async function held(lines: readonly { sku: string; quantity: bigint }[], seconds?: bigint): Promise<string> {
  const result = await hold(lines, seconds);
  if (!result.ok) throw result.error;
  return result.value.reservation?.id ?? "";
}

const stockOf = async (sku: string) => {
  const { stock } = await operator().getStock({ sku }, asOperator());
  return { onHand: stock?.onHand, reserved: stock?.reserved, available: stock?.available };
};

const commit = (reservationId: string, requestId = newId("req")) =>
  orders().try.commitReservation({ requestId, reservationId }, asOrders());
const release = (reservationId: string, requestId = newId("req")) =>
  orders().try.releaseReservation({ requestId, reservationId }, asOrders());

describe("reservations", () => {
  test("hold units, and sell them when they are committed", async () => {
    const sku = await stocked(5n);
    const id = await held([{ sku, quantity: 3n }]);
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 3n, available: 2n });
    expect(await commit(id)).toMatchObject({
      ok: true,
      value: { reservation: { state: Reservation_State.COMMITTED } },
    });
    expect(await stockOf(sku)).toEqual({ onHand: 2n, reserved: 0n, available: 2n });
    expect(await release(id)).toMatchObject({ ok: false, error: { reason: "RESERVATION_COMMITTED" } });
  });

  test("give units back when they are released, once", async () => {
    const sku = await stocked(5n);
    const id = await held([{ sku, quantity: 3n }]);
    expect(await release(id)).toMatchObject({ ok: true });
    expect(await release(id)).toMatchObject({ ok: true });
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 0n, available: 5n });
    expect(await commit(id)).toMatchObject({ ok: false, error: { reason: "RESERVATION_RELEASED" } });
  });

  test("hold nothing when one line is short, and name what is left of every short one", async () => {
    const [plenty, scarce, none] = [await stocked(9n), await stocked(2n), await stocked(1n)];
    await held([{ sku: none, quantity: 1n }]);
    const result = await hold([
      { sku: plenty, quantity: 1n },
      { sku: scarce, quantity: 3n },
      { sku: none, quantity: 1n },
    ]);
    expect(result).toMatchObject({
      ok: false,
      error: {
        code: "FAILED_PRECONDITION",
        reason: "OUT_OF_STOCK",
        metadata: { [`available.${scarce}`]: "2", [`available.${none}`]: "0" },
      },
    });
    expect(await stockOf(plenty)).toEqual({ onHand: 9n, reserved: 0n, available: 9n });
  });

  test("refuse a SKU of which no stock is kept", async () => {
    const result = await hold([{ sku: "NOBODY-KNOWS", quantity: 1n }]);
    expect(result).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "UNKNOWN_SKU" } });
  });

  test("refuse a SKU twice, and a quantity of nothing, naming the fields", async () => {
    const twice = await hold([
      { sku: "A", quantity: 1n },
      { sku: "A", quantity: 0n },
    ]);
    if (twice.ok) throw new Error("it was admitted");
    expect(twice.error.reason).toBe("INVALID_REQUEST");
    expect(twice.error.violations.map(({ field }) => field).sort()).toEqual(["lines", "lines[1].quantity"]);
  });

  test("that expired give way to whoever wants their units", async () => {
    const sku = await stocked(1n);
    const first = await held([{ sku, quantity: 1n }], 30n);
    expect((await hold([{ sku, quantity: 1n }])).ok).toBe(false);
    clock.advance(30_000);
    await held([{ sku, quantity: 1n }]);
    expect(await stockOf(sku)).toEqual({ onHand: 1n, reserved: 1n, available: 0n });
    expect(await commit(first)).toMatchObject({ ok: false, error: { reason: "RESERVATION_EXPIRED" } });
    const { reservation } = await orders().getReservation({ reservationId: first }, asOrders());
    expect(reservation?.state).toBe(Reservation_State.EXPIRED);
  });

  test("that are being swept by two at once go back once", async () => {
    const sku = await stocked(10n);
    for (let at = 0; at < 5; at += 1) await held([{ sku, quantity: 2n }], 1n);
    clock.advance(1_000);
    const deps = { db: database.db, clock, newId, watch, log };
    await Promise.all([expireDue(deps), expireDue(deps), expireDue(deps, [sku])]);
    expect(await stockOf(sku)).toEqual({ onHand: 10n, reserved: 0n, available: 10n });
  });
});

describe("at the same time", () => {
  test("five units and forty buyers make exactly five reservations", async () => {
    const sku = await stocked(5n);
    const results = await Promise.all(Array.from({ length: 40 }, () => hold([{ sku, quantity: 1n }])));
    expect(results.filter(({ ok }) => ok)).toHaveLength(5);
    const reasons = results.flatMap((result) => (result.ok ? [] : [result.error.reason]));
    expect(new Set(reasons)).toEqual(new Set(["OUT_OF_STOCK"]));
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 5n, available: 0n });
  });

  test("those who want each other's last units do not wait for each other for ever", async () => {
    const [a, b] = [await stocked(20n), await stocked(20n)];
    const forth = [a, b].map((sku) => ({ sku, quantity: 1n }));
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, at) => hold(at % 2 === 0 ? forth : forth.toReversed())),
    );
    expect(results.filter(({ ok }) => ok)).toHaveLength(20);
  });

  test("fifty copies of a reservation hold once, and get one answer", async () => {
    const sku = await stocked(60n);
    const requestId = newId("req");
    const results = await Promise.all(Array.from({ length: 50 }, () => hold([{ sku, quantity: 1n }], 60n, requestId)));
    const ids = results.map((result) => (result.ok ? result.value.reservation?.id : result.error.reason));
    expect(new Set(ids).size).toBe(1);
    expect(await stockOf(sku)).toMatchObject({ reserved: 1n });
  });

  test("a commit and a release end in exactly one of the two", async () => {
    const sku = await stocked(10n);
    for (let at = 0; at < 10; at += 1) {
      const id = await held([{ sku, quantity: 1n }]);
      const outcomes = await Promise.all([commit(id), release(id)]);
      expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    }
    expect(await stockOf(sku)).toMatchObject({ reserved: 0n });
  });
});

describe("adjustments", () => {
  test("are booked, and with all other movements add up to the stock", async () => {
    const sku = await stocked(7n);
    const id = await held([{ sku, quantity: 2n }]);
    await commit(id);
    await held([{ sku, quantity: 1n }]);
    const { movements } = await operator().listMovements({ sku, pageSize: 0, pageToken: "" }, asOperator());
    expect(movements.map(({ kind }) => kind)).toEqual([
      Movement_Kind.RESERVED,
      Movement_Kind.COMMITTED,
      Movement_Kind.RESERVED,
      Movement_Kind.ADJUSTED,
    ]);
    const sum = (key: "onHandDelta" | "reservedDelta") => movements.reduce((total, one) => total + one[key], 0n);
    expect(await stockOf(sku)).toMatchObject({ onHand: sum("onHandDelta"), reserved: sum("reservedDelta") });
  });

  test("cannot take what is held", async () => {
    const sku = await stocked(3n);
    await held([{ sku, quantity: 2n }]);
    const result = await operator().try.adjustStock(
      { requestId: newId("req"), sku, delta: -2n, note: "lost" },
      asOperator(),
    );
    expect(result).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "STOCK_TOO_LOW", metadata: { on_hand: "3", reserved: "2" } },
    });
  });

  test("with a known request_id change nothing again, and another body is refused", async () => {
    const requestId = newId("req");
    const request = { requestId, sku: "ONCE-1", delta: 5n, note: "" };
    await operator().adjustStock(request, asOperator());
    await operator().adjustStock(request, asOperator());
    expect(await stockOf("ONCE-1")).toMatchObject({ onHand: 5n });
    const other = await operator().try.adjustStock({ ...request, delta: 6n }, asOperator());
    expect(other).toMatchObject({ ok: false, error: { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED" } });
  });

  test("are not for shoppers", async () => {
    const client = shop.mesh("gateway").client(InventoryService);
    const request = { requestId: newId("req"), sku: "A-1", delta: 1n, note: "" };
    const denied = await client.try.adjustStock(request, shop.call({ user: { roles: ["courier"] } }));
    expect(denied).toMatchObject({ ok: false, error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" } });
    const nobody = await client.try.adjustStock(request, shop.call());
    expect(nobody).toMatchObject({ ok: false, error: { code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" } });
    const warehouse = await client.try.adjustStock(request, shop.call({ user: { roles: ["warehouse"] } }));
    expect(warehouse.ok).toBe(true);
  });
});

test("movements come page by page, each once, and a page token is for its own list", async () => {
  const sku = await stocked(1n);
  for (let at = 0; at < 6; at += 1) {
    await operator().adjustStock({ requestId: newId("req"), sku, delta: 1n, note: `${at}` }, asOperator());
  }
  const notes: string[] = [];
  let pageToken = "";
  do {
    const page = await operator().listMovements({ sku, pageSize: 3, pageToken }, asOperator());
    notes.push(...page.movements.map(({ reference }) => reference));
    pageToken = page.nextPageToken;
    if (pageToken !== "") {
      const forged = await operator().try.listMovements({ sku: "OTHER", pageSize: 3, pageToken }, asOperator());
      expect(forged).toMatchObject({ ok: false, error: { reason: "INVALID_PAGE_TOKEN" } });
    }
  } while (pageToken !== "");
  expect(notes).toHaveLength(7);
  expect(new Set(notes).size).toBe(7);
});

test("many stocks are answered in the order asked, and unknown ones are named", async () => {
  const [a, b] = [await stocked(1n), await stocked(2n)];
  const response = await operator().batchGetStock({ skus: [b, "GONE", a] }, asOperator());
  expect(response.stocks.map(({ sku }) => sku)).toEqual([b, a]);
  expect(response.unknownSkus).toEqual(["GONE"]);
});

test("a watcher sees the stock at once and after every change, and the watch ends with its call", async () => {
  const sku = await stocked(4n);
  const ended = new AbortController();
  const call = shop.mesh("orders").background({ name: "watch", timeoutMs: 10_000, signal: ended.signal });
  const seen: bigint[] = [];
  for await (const { stock } of orders().watchStock({ skus: [sku] }, call)) {
    seen.push(stock?.available ?? -1n);
    if (seen.length === 1) await held([{ sku, quantity: 1n }]);
    if (seen.length === 2) break;
  }
  expect(seen).toEqual([4n, 3n]);
  ended.abort();
});
