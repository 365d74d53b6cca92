import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Database, isCheckViolation, isUniqueViolation, type Transaction } from "#mesh/postgres/index.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { transition } from "./domain.ts";
import type { Order } from "./domain-order.ts";
import type { OrderReturn } from "./domain-returns.ts";
import type { SagaEvent } from "./domain-saga.ts";
import * as store from "./store.ts";
import * as returnStore from "./store-returns.ts";
import * as sagaStore from "./store-saga.ts";
import { newOrder } from "./testing/orders.ts";
import { cancel, paid, restocked } from "./testing/saga-events.ts";

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

async function read(id: string): Promise<Order> {
  const order = await store.getOrder(db, id);
  if (order === undefined) throw new Error(`no order ${id}`);
  return order;
}

function sagaAfter(order: Order, event: SagaEvent) {
  const next = transition(order, event);
  if (!next.ok) throw new Error(`illegal: ${event.kind} in ${order.state}/${order.step}`);
  return { ...next.value, actor: "orders", leaseMs: LEASE_MS, delayMs: 0 };
}

async function advance(order: Order, ...events: readonly SagaEvent[]): Promise<Order> {
  let now = order;
  for (const event of events) {
    expect(await sagaStore.advanceOrder(db, now, sagaAfter(now, event))).toBeDefined();
    now = await read(order.id);
  }
  return now;
}

/** An order that is PAID and at rest. */
async function paidOrder(id: string): Promise<Order> {
  const order = await store.insertOrder(db, newOrder({ id, rateId: "" }), LEASE_MS);
  if (order === undefined) throw new Error("not placed");
  return advance(order, ...paid);
}

/** Moves the order on under its lock, as a handler does; undefined when the order does not allow it. */
async function ask(tx: Transaction, orderId: string, event: SagaEvent): Promise<Order | undefined> {
  const locked = await store.lockOrder(tx, orderId);
  if (locked === undefined) throw new Error("gone");
  const next = transition(locked, event);
  if (!next.ok) return undefined;
  await sagaStore.redirectOrder(tx, locked, { saga: next.value.saga, note: next.value.note, actor: "usr_1" });
  return { ...locked, ...next.value.saga };
}

const lines = [{ sku: "SKU-2", quantity: 1n }];
const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });

const announce = (id: string, order: Order, requestId = `request-of-${id}`): Promise<OrderReturn | undefined> =>
  db.transaction(async (tx) => {
    const asked = await ask(tx, order.id, { kind: "return_announced", amount: 250n });
    const goods = { id, lines, refund: eur(250n), note: "", requestedBy: "usr_1", requestId };
    return asked && returnStore.insertReturn(tx, order, goods);
  });

const receive = (goods: OrderReturn): Promise<boolean> =>
  db.transaction(async (tx) => {
    await store.lockOrder(tx, goods.orderId);
    if ((await returnStore.getReturn(tx, goods.id))?.state !== "REQUESTED") return false;
    const event = { kind: "return_received", returnId: goods.id, lines, amount: 250n } as const;
    const asked = await ask(tx, goods.orderId, event);
    if (asked !== undefined) await returnStore.receiveReturn(tx, goods, asked.dues);
    return asked !== undefined;
  });

const withdraw = (goods: OrderReturn): Promise<boolean> =>
  db.transaction(async (tx) => {
    const locked = await returnStore.lockReturn(tx, goods.id);
    if (locked?.goods.state !== "REQUESTED") return false;
    const asked = await ask(tx, goods.orderId, { kind: "return_withdrawn", amount: 250n });
    if (asked !== undefined) await returnStore.cancelReturn(tx, goods);
    return asked !== undefined;
  });

const refund = (order: Order, amount: bigint, requestId: string): Promise<boolean> =>
  db.transaction(async (tx) => {
    const asked = await ask(tx, order.id, { kind: "refund_requested", amount });
    if (asked === undefined) return false;
    await returnStore.insertDue(tx, order.id, { seq: asked.dues, amount, requestedBy: "usr_2", requestId });
    return true;
  });

async function announced(id: string, order: Order): Promise<OrderReturn> {
  const goods = await announce(id, order);
  if (goods === undefined) throw new Error("not announced");
  return goods;
}

describe("a return", () => {
  it("is read back as it was written, with its lines, and counts its units", async () => {
    const order = await paidOrder("ord_1");
    const goods = await announced("ret_1", order);
    expect(await returnStore.getReturn(db, "ret_1")).toEqual(goods);
    expect((await read("ord_1")).lines[1]).toMatchObject({ announcedQuantity: 1n, returnedQuantity: 0n });
    await receive(goods);
    const now = await read("ord_1");
    expect(now.lines[1]).toMatchObject({ announcedQuantity: 0n, returnedQuantity: 1n });
    expect(now).toMatchObject({
      step: "restock",
      due: [{ seq: 1, returnId: "ret_1", lines, amount: 250n }],
      dues: 1,
      announced: 0,
      promised: 250n,
    });
    const ended = await advance(now, restocked, { kind: "payment_refunded", amount: 250n });
    expect(ended).toMatchObject({ step: "done", due: [], dues: 1, refunded: 250n, promised: 0n });
    expect(await returnStore.getReturn(db, "ret_1")).toMatchObject({ state: "REFUNDED" });
  });

  it("is received once of two that receive it at the same time", async () => {
    for (let round = 0; round < 5; round += 1) {
      const goods = await announced(`ret_${round}`, await paidOrder(`ord_${round}`));
      expect((await Promise.all([receive(goods), receive(goods)])).sort()).toEqual([false, true]);
      expect(await read(goods.orderId)).toMatchObject({ dues: 1, promised: 250n });
    }
  });

  it.each([
    ["received", receive],
    ["withdrawn again", withdraw],
  ])("is withdrawn, or %s, when both come at the same time", async (_what, other) => {
    for (let round = 0; round < 5; round += 1) {
      const goods = await announced(`ret_${round}`, await paidOrder(`ord_${round}`));
      expect((await Promise.all([withdraw(goods), other(goods)])).sort()).toEqual([false, true]);
      const order = await read(goods.orderId);
      const state = (await returnStore.getReturn(db, goods.id))?.state;
      const gone = state === "CANCELLED";
      expect(state).toBe(gone || other === withdraw ? "CANCELLED" : "RECEIVED");
      const counts = gone ? { withdrawn: 1, promised: 0n, dues: 0 } : { withdrawn: 0, promised: 250n, dues: 1 };
      expect(order).toMatchObject({ ...counts, announced: 0 });
      expect(order.lines[1]).toMatchObject({ announcedQuantity: 0n, returnedQuantity: gone ? 0n : 1n });
    }
  });

  it("is still announced when the transaction that withdraws it does not end", async () => {
    const goods = await announced("ret_1", await paidOrder("ord_1"));
    const order = await read("ord_1");
    const cut = db.transaction(async (tx) => {
      await ask(tx, order.id, { kind: "return_withdrawn", amount: 250n });
      await returnStore.cancelReturn(tx, goods);
      throw new Error("cut");
    });
    await expect(cut).rejects.toThrow("cut");
    expect([await read("ord_1"), await returnStore.getReturn(db, "ret_1")]).toEqual([order, goods]);
  });

  it("is announced, or its order is cancelled, when both come at the same time", async () => {
    for (let round = 0; round < 5; round += 1) {
      const order = await paidOrder(`ord_${round}`);
      const [goods, cancelled] = await Promise.all([
        announce(`ret_${round}`, order),
        db.transaction((tx) => ask(tx, order.id, cancel)),
      ]);
      expect([goods, cancelled].filter((done) => done !== undefined)).toHaveLength(1);
      const { state, announced: count } = await read(order.id);
      expect([state, count]).toEqual(goods === undefined ? ["CANCELLING", 0] : ["PAID", 1]);
    }
  });

  it("leaves nothing behind when its transaction does not end", async () => {
    const order = await paidOrder("ord_1");
    const cut = db.transaction(async (tx) => {
      await ask(tx, order.id, { kind: "return_announced", amount: 250n });
      await returnStore.insertReturn(tx, order, {
        id: "ret_1",
        lines,
        refund: eur(250n),
        note: "",
        requestedBy: "usr_1",
        requestId: "request-1",
      });
      throw new Error("cut");
    });
    await expect(cut).rejects.toThrow("cut");
    expect(await read("ord_1")).toEqual(order);
    expect(await returnStore.getReturn(db, "ret_1")).toBeUndefined();
  });

  it("is one for each request, for ever", async () => {
    const order = await paidOrder("ord_1");
    const goods = await announce("ret_1", order, "request-1");
    const again = await announce("ret_2", order, "request-1").catch((error: unknown) => error);
    expect(isUniqueViolation(again)).toBe(true);
    const key = { requestedBy: "usr_1", requestId: "request-1" };
    expect(await returnStore.findReturnByRequest(db, key)).toEqual(goods);
    expect(await returnStore.findReturnByRequest(db, { ...key, requestedBy: "usr_2" })).toBeUndefined();
  });

  it("is not of more units than were ordered, whoever asks", async () => {
    const order = await paidOrder("ord_1");
    const all = [{ sku: "SKU-2", quantity: 3n }];
    const goods = { id: "ret_1", lines: all, refund: eur(0n), note: "", requestedBy: "usr_1", requestId: "request-1" };
    const refused = await returnStore.insertReturn(db, order, goods).catch((error: unknown) => error);
    expect(isCheckViolation(refused, "order_lines_returnable")).toBe(true);
  });
});

describe("what becomes due", () => {
  it("is not lost when a move of the saga is written at the same time", async () => {
    for (let round = 0; round < 10; round += 1) {
      const order = await paidOrder(`ord_${round}`);
      expect(await refund(order, 100n, `first-${round}`)).toBe(true);
      const held = await read(order.id);
      const done: SagaEvent = { kind: "payment_refunded", amount: 100n };
      const [entry] = await Promise.all([
        sagaStore.advanceOrder(db, held, sagaAfter(held, done)),
        refund(order, 200n, `second-${round}`),
      ]);
      // The move missed when the refund came first, and is made again from where the order is then.
      const now = entry === undefined ? await advance(await read(order.id), done) : await read(order.id);
      expect(now).toMatchObject({ refunded: 100n, promised: 200n, due: [{ seq: 2, amount: 200n }] });
      expect(now.step).toBe("refund_payment");
    }
  });

  it("is never more than was paid, of many who promise at the same time", async () => {
    const order = await paidOrder("ord_1");
    const all = await Promise.all(Array.from({ length: 8 }, (_, n) => refund(order, 490n, `request-${n}`)));
    expect(all.filter((promised) => promised)).toHaveLength(3);
    expect(await read("ord_1")).toMatchObject({ promised: 1_470n, dues: 3 });
  });

  it("keeps the tries and the wait of the step that is under way", async () => {
    const order = await paidOrder("ord_1");
    await refund(order, 100n, "request-1");
    const failure = { attempts: 8, backoffMs: 60_000, error: "refused", leaseMs: undefined };
    await sagaStore.recordFailure(db, await read("ord_1"), failure);
    await refund(order, 100n, "request-2");
    expect((await read("ord_1")).attempts).toBe(8);
    expect(await sagaStore.claimDueOrders(db, { limit: 1, leaseMs: LEASE_MS })).toEqual([]);
  });

  it.each([
    ["more than was paid", "promised = 1491"],
    ["something of an order that is cancelled", "state = 'CANCELLING', step = 'refund_payment', dues = 1"],
    ["something, and rests", "dues = 1"],
    ["nothing, and is worked off", "step = 'restock', next_attempt_time = now()"],
    ["too much at once", "dues = 33, step = 'restock', next_attempt_time = now()"],
  ])("is refused by the table: %s", async (_what, changes) => {
    await paidOrder("ord_1");
    const refused = await db.query(`update orders set ${changes}`).catch((error: unknown) => error);
    expect(isCheckViolation(refused)).toBe(true);
  });
});

describe("listing returns", () => {
  it.each([
    [{ orderId: "ord_1" }, "order_returns_by_order"],
    [{ customerId: "usr_1" }, "order_returns_by_customer"],
    [{ state: "REQUESTED" }, "order_returns_by_state"],
  ] as const)("reads by an index for %o, the newest first", async (filter, index) => {
    const order = await paidOrder("ord_1");
    await announced("ret_1", order);
    await announced("ret_2", order);
    const page = { orderId: undefined, customerId: undefined, state: undefined, beforeId: undefined, limit: 10 };
    expect((await returnStore.listReturns(db, { ...page, ...filter })).map(({ id }) => id)).toEqual(["ret_2", "ret_1"]);
    const after = { ...page, ...filter, beforeId: "ret_2" };
    expect((await returnStore.listReturns(db, after)).map(({ id }) => id)).toEqual(["ret_1"]);
    const [column, value] = Object.entries(filter)[0] ?? [];
    const name = column?.replace("Id", "_id");
    const plan = await db.transaction(async (tx) => {
      await tx.query("set local enable_seqscan = off");
      return tx.query<{ readonly "QUERY PLAN": string }>(
        `explain select id from order_returns where id < '~' and ${name} = '${value}' order by id desc limit 20`,
      );
    });
    const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
    expect(text).toContain(index);
    expect(text).not.toContain("Sort");
  });
});
