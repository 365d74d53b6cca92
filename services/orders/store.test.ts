import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Database, isCheckViolation } from "#mesh/postgres/index.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { MAX_MINOR_UNITS } from "./domain-money.ts";
import type { Order } from "./domain-order.ts";
import { isPaid, type OrderState, type Step, stepsOf } from "./domain-saga.ts";
import * as store from "./store.ts";
import { newOrder } from "./testing/orders.ts";

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

async function place(changes: Parameters<typeof newOrder>[0]): Promise<Order> {
  const order = await store.insertOrder(db, newOrder(changes), LEASE_MS);
  if (order === undefined) throw new Error("the order was not placed");
  return order;
}

describe("placing", () => {
  it("returns exactly the order that is read back", async () => {
    const placed = await place({ id: "ord_1" });
    expect(await store.getOrder(db, "ord_1")).toEqual(placed);
    expect(placed).toMatchObject({ state: "PENDING", step: "reserve_stock", version: 1, fence: 1n });
    expect(placed.history).toMatchObject([{ seq: 1, state: "PENDING", actor: "usr_1", note: "placed" }]);
    expect(placed.lines.map(({ sku }) => sku)).toEqual(["SKU-1", "SKU-2"]);
    expect(placed.rateId).toBe("rate_1");
  });

  it("keeps what one unit of each line weighs and measures", async () => {
    const packed = { weightGrams: 1, lengthMm: 2, widthMm: 3, heightMm: 4 };
    const [line, another] = newOrder({ id: "" }).lines;
    if (line === undefined || another === undefined) throw new Error("two lines are wanted");
    await place({ id: "ord_1", lines: [another, { ...line, packed }] });
    const lines = (await store.getOrder(db, "ord_1"))?.lines;
    expect(lines?.map((kept) => kept.packed)).toEqual([another.packed, packed]);
  });

  it("keeps amounts up to the most that one can be", async () => {
    const price = MAX_MINOR_UNITS - 490n;
    const line = {
      sku: "A",
      title: "",
      quantity: 1n,
      unitPrice: price,
      lineTotal: price,
      packed: { weightGrams: 0, lengthMm: 0, widthMm: 0, heightMm: 0 },
      announcedQuantity: 0n,
      returnedQuantity: 0n,
    };
    const placed = await place({ id: "ord_1", lines: [line], subtotal: price, total: MAX_MINOR_UNITS });
    expect(await store.getOrder(db, "ord_1")).toEqual(placed);
  });

  it("writes one order when fifty copies of a request come at once", async () => {
    const copies = Array.from({ length: 50 }, (_, i) =>
      store.insertOrder(db, newOrder({ id: `ord_${i}`, requestId: "the-same-request" }), LEASE_MS),
    );
    const placed = (await Promise.all(copies)).filter((order) => order !== undefined);
    expect(placed).toHaveLength(1);
    const [counts] = await db.query(
      `select (select count(*) from orders) as orders, (select count(*) from order_lines) as lines,
              (select count(*) from order_events) as events`,
    );
    expect(counts).toEqual({ orders: 1n, lines: 2n, events: 1n });
    const found = await store.findByRequest(db, { customerId: "usr_1", requestId: "the-same-request" });
    expect(found).toEqual({ id: placed[0]?.id, requestHash: Buffer.from("hash") });
  });

  it("keeps the same request_id of two customers apart", async () => {
    await place({ id: "ord_1", requestId: "request-1" });
    await place({ id: "ord_2", requestId: "request-1", customerId: "usr_2" });
    expect(await store.findByRequest(db, { customerId: "usr_2", requestId: "request-1" })).toMatchObject({
      id: "ord_2",
    });
    expect(await store.findByRequest(db, { customerId: "usr_3", requestId: "request-1" })).toBeUndefined();
  });

  it.each([
    ["a total that is not the sum", { total: 1_491n }],
    ["a negative amount", { subtotal: -1n, total: 489n }],
    ["nothing to pay", { subtotal: 0n, total: 0n, shippingOption: freeShipping() }],
  ])("refuses %s, whoever asks", async (_what, changes) => {
    const refused = await place({ id: "ord_1", ...changes }).catch((error: unknown) => error);
    expect(isCheckViolation(refused)).toBe(true);
    expect(await store.getOrder(db, "ord_1")).toBeUndefined();
  });

  function freeShipping() {
    const { shippingOption } = newOrder({ id: "ord_1" });
    return { ...shippingOption, price: { currencyCode: "EUR", minorUnits: 0n } };
  }
});

describe("the table", () => {
  const forDue: ReadonlySet<Step> = new Set(["restock", "refund_payment"]);

  it("lets in the steps that the saga has in each state, and no others", async () => {
    await place({ id: "ord_1" });
    const steps = [...new Set(Object.values(stepsOf).flat())];
    // The keys of stepsOf are the states.
    for (const state of Object.keys(stepsOf) as OrderState[]) {
      const allowed: string[] = [];
      for (const step of steps) if (await fits(state, step)) allowed.push(step);
      expect(allowed.sort()).toEqual([...stepsOf[state]].sort());
    }
  });

  async function fits(state: OrderState, step: Step): Promise<boolean> {
    const rejected = state === "REJECTED" || (state === "PENDING" && step === "release_stock");
    try {
      await db.query(
        `update orders set state = $1, step = $2, reservation_id = 'res_1', payment_id = 'pay_1',
           rejection_reason = $3, next_attempt_time = case when $2 = 'done' then null else now() end,
           cart_cleared = ($2 = 'done'), dues = $4::int, promised = $4::int,
           shipment_id = case when $5 then 'shp_1' end`,
        // Where something can be due, it is.
        [
          ...[state, step, rejected ? "OUT_OF_STOCK" : undefined, isPaid(state) && forDue.has(step) ? 1 : 0],
          step === "cancel_shipment" || (isPaid(state) && step !== "create_shipment"),
        ],
      );
      return true;
    } catch (error) {
      expect(isCheckViolation(error, "orders_step_of_state")).toBe(true);
      return false;
    }
  }
});

describe("listing", () => {
  it("gives a customer's orders, newest first, page by page, without their histories", async () => {
    for (const n of [1, 2, 3]) await place({ id: `ord_${n}` });
    await place({ id: "ord_9", customerId: "usr_2" });
    const page = { customerId: "usr_1", state: undefined, beforeId: undefined, limit: 2 };
    const first = await store.listOrders(db, page);
    expect(first.map(({ id }) => id)).toEqual(["ord_3", "ord_2"]);
    expect(first[0]?.lines).toHaveLength(2);
    expect(first[0]?.history).toEqual([]);
    const second = await store.listOrders(db, { ...page, beforeId: "ord_2" });
    expect(second.map(({ id }) => id)).toEqual(["ord_1"]);
  });

  it("keeps to a state when asked", async () => {
    await place({ id: "ord_1" });
    const page = { customerId: "usr_1", beforeId: undefined, limit: 2 };
    expect(await store.listOrders(db, { ...page, state: "PENDING" })).toHaveLength(1);
    expect(await store.listOrders(db, { ...page, state: "PAID" })).toEqual([]);
  });

  it("finds a customer's newest orders by the index, not by reading everybody's", async () => {
    const plan = await db.transaction(async (tx) => {
      await tx.query("set local enable_seqscan = off");
      return tx.query<{ readonly "QUERY PLAN": string }>(
        "explain select id from orders where customer_id = 'usr_1' and id < '~' order by id desc limit 20",
      );
    });
    const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
    expect(text).toContain("orders_by_customer");
    expect(text).not.toContain("Sort");
  });
});
