import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type OrderChanges, startOrderChanges } from "./changes.ts";
import type { Order } from "./domain-order.ts";
import { MAX_CLAIMED_ORDERS, MAX_PLACED_ORDERS, type RunnerDeps, type SagaRunner, startSagaRunner } from "./runner.ts";
import * as store from "./store.ts";
import { newOrder } from "./testing/orders.ts";
import { gate, testTimings } from "./testing/shop.ts";

const log = pino({ level: "silent" });

let database: TestDatabase;
let changes: OrderChanges;
let runner: SagaRunner | undefined;

beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
});
afterAll(() => database?.close());
beforeEach(async () => {
  await database.db.query("truncate orders cascade");
  changes = startOrderChanges({ db: database.db, log });
});
afterEach(async () => {
  await runner?.close();
  await changes.close();
});

function start(perform: RunnerDeps["perform"]): SagaRunner {
  const timings = { ...testTimings, claimIntervalMs: 10 };
  runner = startSagaRunner({
    db: database.db,
    log,
    changes,
    perform,
    errandsWritten: () => {},
    random: () => 0.5,
    timings,
  });
  return runner;
}

/** An order that is leased for `leaseMs`; a negative one is free to be claimed. */
async function place(id: string, leaseMs: number): Promise<Order> {
  const order = await store.insertOrder(database.db, newOrder({ id }), leaseMs);
  if (order === undefined) throw new Error("not placed");
  return order;
}

const rejected = { known: true, event: { kind: "stock_short", available: { "SKU-1": "0" } } } as const;

it("admits a bounded number of orders, and again when one has ended", async () => {
  const held = gate();
  const ended = gate();
  const { admit } = start(async () => {
    await held.opened;
    ended.open();
    return rejected;
  });
  const admissions = Array.from({ length: MAX_PLACED_ORDERS }, () => admit());
  expect(admissions.every((admission) => admission !== undefined)).toBe(true);
  expect(admit()).toBeUndefined();
  admissions[0]?.cancel();
  const again = admit();
  expect(again).toBeDefined();
  expect(admit()).toBeUndefined();

  const watch = changes.watch("ord_1");
  again?.start(await place("ord_1", 60_000), "tok_visa");
  expect(admit()).toBeUndefined();
  held.open();
  await watch.next(1, new AbortController().signal);
  await expect.poll(() => admit()).toBeDefined();
});

it("claims a bounded number of orders at once, and the others as places come free", async () => {
  const count = MAX_CLAIMED_ORDERS + 8;
  for (let n = 0; n < count; n += 1) await place(`ord_${n}`, -1);
  const held = gate();
  const full = gate();
  let underWay = 0;
  let most = 0;
  start(async () => {
    underWay += 1;
    most = Math.max(most, underWay);
    if (underWay === MAX_CLAIMED_ORDERS) full.open();
    await held.opened;
    underWay -= 1;
    return rejected;
  });
  await full.opened;
  held.open();
  await expect.poll(() => underWayOrders()).toBe(0n);
  expect(most).toBe(MAX_CLAIMED_ORDERS);
});

it("gives the token to the authorization only as long as the order is its own", async () => {
  const tokens: (string | undefined)[] = [];
  const { admit } = start(async ({ kind }, _order, { token }) => {
    if (kind === "reserve_stock") return { known: true, event: { kind: "stock_reserved", reservationId: "res_1" } };
    if (kind !== "authorize_payment") return { known: true, event: { kind: "stock_released" } };
    tokens.push(token);
    return { known: true, event: { kind: "payment_declined", declineCode: "card_declined" } };
  });
  admit()?.start(await place("ord_own", 60_000), "tok_visa");
  await place("ord_claimed", -1);
  await expect.poll(() => underWayOrders()).toBe(0n);
  expect(tokens.sort()).toEqual(["tok_visa", undefined]);
});

it("lets go of what it holds when it closes, and takes nothing new", async () => {
  const reached = gate();
  const closing = start(
    (_command, _order, { signal }) =>
      new Promise((resolve) => {
        reached.open();
        // A call that would take long, and ends when it is aborted.
        signal.addEventListener("abort", () => resolve({ known: false, error: "CANCELLED" }));
      }),
  );
  closing.admit()?.start(await place("ord_1", 60_000), "tok_visa");
  await reached.opened;
  await closing.close();
  expect(closing.admit()).toBeUndefined();
  const [row] = await database.db.query("select lease_until, attempts, step from orders");
  expect(row).toEqual({ lease_until: null, attempts: 0, step: "reserve_stock" });
});

it("notes a defect as a failed try, and tries again", async () => {
  let tries = 0;
  const { admit } = start(async () => {
    tries += 1;
    if (tries === 1) throw new TypeError("a bug");
    return rejected;
  });
  const watch = changes.watch("ord_1");
  admit()?.start(await place("ord_1", 60_000), "tok_visa");
  expect(await watch.next(1, new AbortController().signal)).toMatchObject({ state: "REJECTED" });
  expect(tries).toBe(2);
});

it("keeps an order between two tries while its payment token is wanted, and no longer", async () => {
  const tokens: (string | undefined)[] = [];
  const { admit } = start(async ({ kind }, _order, { token }) => {
    if (kind === "reserve_stock") return { known: true, event: { kind: "stock_reserved", reservationId: "res_1" } };
    if (kind !== "authorize_payment") return { known: false, error: "UNAVAILABLE" };
    tokens.push(token);
    if (tokens.length < 3) return { known: false, error: "UNAVAILABLE" };
    return { known: true, event: { kind: "payment_declined", declineCode: "card_declined" } };
  });
  admit()?.start(await place("ord_1", 60_000), "tok_visa");
  const letGo = () =>
    database.db.query("select step from orders where step = 'release_stock' and attempts > 0 and lease_until is null");
  await expect.poll(letGo, { timeout: 5_000 }).toEqual([{ step: "release_stock" }]);
  // Let go of in between, it would have been taken up without one.
  expect(tokens).toEqual(["tok_visa", "tok_visa", "tok_visa"]);
});

async function underWayOrders(): Promise<bigint | undefined> {
  const [row] = await database.db.query<{ readonly count: bigint }>(
    "select count(*) as count from orders where step <> 'done'",
  );
  return row?.count;
}
