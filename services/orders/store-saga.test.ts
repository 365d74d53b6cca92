import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Database } from "#mesh/postgres/index.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { transition } from "./domain.ts";
import type { Order } from "./domain-order.ts";
import type { SagaEvent } from "./domain-saga.ts";
import * as store from "./store.ts";
import * as sagaStore from "./store-saga.ts";
import { newOrder } from "./testing/orders.ts";
import {
  abandoned,
  authorized,
  booked,
  cancel,
  captured,
  cleared,
  committed,
  declined,
  released,
  reserved,
} from "./testing/saga-events.ts";

const LEASE_MS = 30_000;

let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  db = database.db;
});
afterAll(() => database?.close());
beforeEach(async () => {
  await db.query("truncate orders cascade");
});

async function place(id: string): Promise<Order> {
  const order = await store.insertOrder(db, newOrder({ id }), LEASE_MS);
  if (order === undefined) throw new Error("the order was not placed");
  return order;
}

async function read(id: string): Promise<Order> {
  const order = await store.getOrder(db, id);
  if (order === undefined) throw new Error(`no order ${id}`);
  return order;
}

/** What the store is told of a move; legal by the domain. */
function moved(order: Order, event: SagaEvent, changes: Partial<sagaStore.Moved> = {}): sagaStore.Moved {
  const result = transition(order, event);
  if (!result.ok) throw new Error(`illegal: ${event.kind}`);
  const { saga, note, errands } = result.value;
  return { saga, note, errands, actor: "orders", leaseMs: LEASE_MS, delayMs: 0, ...changes };
}

async function advance(order: Order, ...events: readonly SagaEvent[]): Promise<Order> {
  let now = order;
  for (const event of events) {
    expect(await sagaStore.advanceOrder(db, now, moved(now, event))).toBeDefined();
    now = await read(order.id);
  }
  return now;
}

/** Lets all leases run out, as time would. */
async function expireLeases(): Promise<void> {
  await db.query("update orders set lease_until = now() - interval '1 second' where lease_until is not null");
}

const claim = (limit = 10) => sagaStore.claimDueOrders(db, { limit, leaseMs: LEASE_MS });

describe("a move", () => {
  it("is written with its entry in the history, to the end", async () => {
    const order = await advance(await place("ord_1"), reserved, authorized, cleared, captured, committed, booked);
    expect(order).toMatchObject({
      state: "PAID",
      step: "done",
      shipmentId: "shp_1",
      reservationId: "res_1",
      paymentId: "pay_1",
      version: 7,
      refunded: 0n,
    });
    expect(order.history.map(({ seq, state, note }) => [seq, state, note])).toEqual([
      [1, "PENDING", "placed"],
      [2, "PENDING", "stock held"],
      [3, "CONFIRMED", "payment authorized"],
      [4, "CONFIRMED", "cart cleared"],
      [5, "CONFIRMED", "payment captured"],
      [6, "PAID", "stock sold"],
      [7, "PAID", "shipment booked"],
    ]);
  });

  it("keeps the rejection as it was given", async () => {
    const order = await advance(await place("ord_1"), reserved, declined, released);
    expect(order).toMatchObject({
      state: "REJECTED",
      rejection: { reason: "PAYMENT_DECLINED", metadata: { decline_code: "card_declined" } },
    });
  });

  it("is made once when two processes make it at the same time", async () => {
    const order = await place("ord_1");
    const both = await Promise.all([
      sagaStore.advanceOrder(db, order, moved(order, reserved)),
      sagaStore.advanceOrder(db, order, moved(order, reserved)),
    ]);
    expect(both.filter((entry) => entry !== undefined)).toHaveLength(1);
    expect((await read("ord_1")).history).toHaveLength(2);
  });

  it("is not made by a process that wakes up late, with an old fence", async () => {
    const held = await place("ord_1");
    await expireLeases();
    const [taken] = await claim();
    if (taken === undefined) throw new Error("not claimed");
    expect(taken).toMatchObject({ fence: 2n, attempts: 1 });

    const before = await read("ord_1");
    expect(await sagaStore.advanceOrder(db, held, moved(held, reserved))).toBeUndefined();
    const failure = { attempts: 9, backoffMs: 1, error: "late", leaseMs: undefined };
    expect(await sagaStore.recordFailure(db, held, failure)).toBe(false);
    await sagaStore.letGo(db, held);
    expect(await read("ord_1")).toEqual(before);
    expect(await claim()).toEqual([]); // its new holder still holds it

    expect(await sagaStore.advanceOrder(db, taken, moved(taken, reserved))).toBeDefined();
  });

  it("is not made from a step that the order has left", async () => {
    const order = await place("ord_1");
    await advance(order, reserved);
    expect(await sagaStore.advanceOrder(db, order, moved(order, reserved))).toBeUndefined();
    expect((await read("ord_1")).history).toHaveLength(2);
  });
});

describe("claiming", () => {
  it("gives each order to one of many claimers at the same time", async () => {
    for (let n = 10; n < 30; n += 1) await place(`ord_${n}`);
    await expireLeases();
    const claims = await Promise.all(Array.from({ length: 8 }, () => claim(5)));
    const ids = claims.flat().map(({ id }) => id);
    expect(ids).toHaveLength(20);
    expect(new Set(ids).size).toBe(20);
    expect(claims.every((orders) => orders.length <= 5)).toBe(true);
  });

  it("leaves out what is held, what waits, and what is done", async () => {
    await place("ord_held");
    const waiting = await place("ord_waiting");
    const failure = { attempts: 1, backoffMs: 60_000, error: "UNAVAILABLE", leaseMs: undefined };
    expect(await sagaStore.recordFailure(db, waiting, failure)).toBe(true);
    await advance(await place("ord_done"), reserved, authorized, cleared, captured, committed);
    const due = await place("ord_due");
    await sagaStore.letGo(db, due);
    expect((await claim()).map(({ id }) => id)).toEqual(["ord_due"]);
  });

  it("brings lines and history along, and counts no try when the order was let go", async () => {
    const order = await advance(await place("ord_1"), reserved);
    await sagaStore.letGo(db, order);
    expect(await claim()).toEqual([{ ...order, fence: 2n }]);
  });

  it("is quick with many orders at rest: it reads by the index of those under way", async () => {
    const plan = await db.transaction(async (tx) => {
      await tx.query("set local enable_seqscan = off");
      return tx.query<{ readonly "QUERY PLAN": string }>(
        `explain select id from orders where step <> 'done' and next_attempt_time <= now()
           and (lease_until is null or lease_until <= now()) order by next_attempt_time limit 10`,
      );
    });
    expect(plan.map((row) => row["QUERY PLAN"]).join("\n")).toContain("orders_due_by_time");
  });
});

describe("claiming for a payment token", () => {
  const claimFor = (...ids: readonly string[]) => sagaStore.claimForTokens(db, { ids, limit: 10, leaseMs: LEASE_MS });

  /** An order whose authorization was given up, and that waits for a minute before that is looked into. */
  async function givenUp(id: string): Promise<Order> {
    const asking = await advance(await place(id), reserved);
    await sagaStore.advanceOrder(db, asking, moved(asking, abandoned, { leaseMs: undefined, delayMs: 60_000 }));
    return read(id);
  }

  it("takes an order that waits for nothing else before it is due, once", async () => {
    await givenUp("ord_1");
    await givenUp("ord_other");
    expect(await claim()).toEqual([]);
    const claims = await Promise.all([claimFor("ord_1"), claimFor("ord_1")]);
    expect(claims.flat().map(({ id, fence, attempts }) => ({ id, fence, attempts }))).toEqual([
      { id: "ord_1", fence: 2n, attempts: 0 },
    ]);
    expect(await claimFor("ord_1")).toEqual([]);
  });

  it("takes one whose authorization was tried in vain to be settled, and leaves out another step and a cancelled one", async () => {
    await sagaStore.letGo(db, await advance(await place("ord_asking"), reserved));
    const failure = { attempts: 1, backoffMs: 60_000, error: "UNAVAILABLE", leaseMs: undefined };
    await sagaStore.recordFailure(db, await givenUp("ord_tried"), failure);
    const order = await givenUp("ord_cancelled");
    await db.transaction((tx) => sagaStore.redirectOrder(tx, order, moved(order, cancel)));
    const claimed = await claimFor("ord_asking", "ord_tried", "ord_cancelled");
    expect(claimed.map(({ id }) => id)).toEqual(["ord_tried"]);
  });
});

describe("a failed try", () => {
  it("shows the order among the stuck ones after enough of them, the longest waiting first", async () => {
    for (const id of ["ord_2", "ord_1", "ord_3"]) {
      const order = await place(id);
      const attempts = id === "ord_3" ? 7 : 8;
      const error = "UNAVAILABLE OUTCOME_UNKNOWN";
      await sagaStore.recordFailure(db, order, { attempts, backoffMs: 25_600, error, leaseMs: undefined });
    }
    const page = { minAttempts: 8, after: undefined, limit: 10 };
    await db.query("update orders set step_time = '2026-01-01T00:00:00.123Z'");
    const stuck = await store.listStuckOrders(db, page);
    expect(stuck.map(({ order }) => order.id)).toEqual(["ord_1", "ord_2"]);
    expect(stuck[0]).toMatchObject({
      order: { attempts: 8 },
      lastError: "UNAVAILABLE OUTCOME_UNKNOWN",
      backoffMs: 25_600,
      stuckTime: new Date("2026-01-01T00:00:00.123Z"),
    });
    const after = { stuckTime: new Date("2026-01-01T00:00:00.123Z").getTime(), id: "ord_1" };
    const second = await store.listStuckOrders(db, { ...page, after });
    expect(second.map(({ order }) => order.id)).toEqual(["ord_2"]);
  });

  it("is forgotten with the next move", async () => {
    const order = await place("ord_1");
    await sagaStore.recordFailure(db, order, { attempts: 8, backoffMs: 1, error: "UNAVAILABLE", leaseMs: LEASE_MS });
    await advance(order, reserved);
    expect((await read("ord_1")).attempts).toBe(0);
    expect(await store.listStuckOrders(db, { minAttempts: 1, after: undefined, limit: 10 })).toEqual([]);
  });

  it("is tried again at once when somebody asks for it, and only then", async () => {
    const order = await place("ord_1");
    const retry = { id: "ord_1", minAttempts: 8, actor: "usr_support", note: "tried again" };
    expect(await sagaStore.retryNow(db, retry)).toBe(false);
    await sagaStore.recordFailure(db, order, { attempts: 8, backoffMs: 60_000, error: "x", leaseMs: undefined });
    expect(await claim()).toEqual([]);
    expect(await Promise.all([sagaStore.retryNow(db, retry), sagaStore.retryNow(db, retry)])).toEqual([true, true]);
    expect((await claim()).map(({ id }) => id)).toEqual(["ord_1"]);
    expect((await read("ord_1")).history.map(({ seq, actor }) => [seq, actor])).toEqual([
      [1, "usr_1"],
      [2, "usr_support"],
      [3, "usr_support"],
    ]);
  });
});

describe("a cancellation", () => {
  it("meets a move of the saga: one of the two is first, and both are in the history or the other one missed", async () => {
    for (let round = 0; round < 10; round += 1) {
      const order = await advance(await place(`ord_${round}`), reserved, authorized, cleared);
      const [captureEntry] = await Promise.all([
        sagaStore.advanceOrder(db, order, moved(order, captured)),
        db.transaction(async (tx) => {
          const locked = await store.lockOrder(tx, order.id);
          if (locked?.step !== "capture_payment") return;
          await sagaStore.redirectOrder(tx, locked, moved(locked, cancel));
        }),
      ]);
      const now = await read(order.id);
      expect(now.version).toBe(5);
      expect(now.step).toBe(captureEntry === undefined ? "void_payment" : "commit_stock");
    }
  });

  it("leaves the order with its holder, whose next write misses", async () => {
    const held = await advance(await place("ord_1"), reserved, authorized, cleared);
    await db.transaction(async (tx) => {
      const locked = await store.lockOrder(tx, held.id);
      if (locked === undefined) throw new Error("gone");
      await sagaStore.redirectOrder(tx, locked, moved(locked, cancel));
    });
    expect(await claim()).toEqual([]);
    expect(await sagaStore.advanceOrder(db, held, moved(held, captured))).toBeUndefined();
    const now = await read("ord_1");
    expect(now).toMatchObject({ state: "CANCELLING", step: "void_payment", fence: held.fence });
    expect(await sagaStore.advanceOrder(db, now, moved(now, { kind: "payment_voided" }))).toBeDefined();
  });
});
