import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MAX_WATCHES } from "#mesh/changes.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { startOrderChanges } from "./changes.ts";
import { changesSince, type Order } from "./domain-order.ts";
import * as store from "./store.ts";
import { advanceOrder } from "./store-saga.ts";
import { newOrder } from "./testing/orders.ts";

const log = pino({ level: "silent" });
const forever = new AbortController().signal;

let database: TestDatabase;
let order: Order;

beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
});
afterAll(() => database?.close());
beforeEach(async () => {
  await database.db.query("truncate orders cascade");
  const placed = await store.insertOrder(database.db, newOrder({ id: "ord_1" }), 60_000);
  if (placed === undefined) throw new Error("not placed");
  order = placed;
});

/** Holds stock for the order, as some process does. */
async function holdStock(): Promise<void> {
  const saga = { ...order, step: "authorize_payment", reservationId: "res_1" } as const;
  await advanceOrder(database.db, order, {
    saga,
    actor: "orders",
    note: "stock held",
    errands: [],
    leaseMs: 60_000,
    delayMs: 0,
  });
}

describe("a watch", () => {
  it("gets at once what this process publishes, also when that was before it asked", async () => {
    const changes = startOrderChanges({ db: database.db, log, intervalMs: 60_000 });
    const [early, late] = [changes.watch("ord_1"), changes.watch("ord_1")];
    const waiting = early.next(1, forever);
    const newer = { ...order, version: 2 };
    changes.publish(newer);
    expect(await waiting).toBe(newer);
    expect(await late.next(1, forever)).toBe(newer);
    changes.publish(order); // an older one changes nothing
    expect(await late.next(1, forever)).toBe(newer);
    await changes.close();
  });

  it("sees what another process writes", async () => {
    const changes = startOrderChanges({ db: database.db, log, intervalMs: 5 });
    const waiting = changes.watch("ord_1").next(1, forever);
    await holdStock();
    expect(await waiting).toMatchObject({ version: 2, reservationId: "res_1", history: [{ seq: 1 }, { seq: 2 }] });
    await changes.close();
  });

  it("ends with its signal, and with the service", async () => {
    const changes = startOrderChanges({ db: database.db, log, intervalMs: 60_000 });
    const leaving = new AbortController();
    const first = changes.watch("ord_1").next(1, leaving.signal);
    const second = changes.watch("ord_1").next(1, forever);
    leaving.abort();
    expect(await first).toBeUndefined();
    await changes.close();
    expect(await second).toBeUndefined();
    expect(await changes.watch("ord_1").next(1, forever)).toBeUndefined();
  });

  it("is refused when there are too many, and let in when one is closed", async () => {
    const changes = startOrderChanges({ db: database.db, log, intervalMs: 60_000 });
    const watches = Array.from({ length: MAX_WATCHES }, (_, i) => changes.watch(`ord_${i}`));
    expect(() => changes.watch("ord_1")).toThrow(expect.objectContaining({ reason: "OVERLOADED" }));
    watches[0]?.close();
    watches[0]?.close(); // counts once
    changes.watch("ord_1");
    expect(() => changes.watch("ord_1")).toThrow(expect.objectContaining({ reason: "OVERLOADED" }));
    await changes.close();
  });
});

describe("the changes since a version", () => {
  it("are one order for each entry of the history that is new, each as of then", () => {
    const at = (seq: number, state: "PENDING" | "REJECTED") => ({
      seq,
      state,
      time: new Date(Date.UTC(2026, 0, seq)),
      actor: "orders",
      note: `${seq}`,
    });
    const rejection = { reason: "OUT_OF_STOCK", message: "", metadata: {} } as const;
    const history = [at(1, "PENDING"), at(2, "PENDING"), at(3, "REJECTED")];
    const now: Order = { ...order, state: "REJECTED", rejection, history, version: 3 };
    expect([...changesSince(now, 1)]).toEqual([
      {
        ...now,
        state: "PENDING",
        rejection: undefined,
        version: 2,
        updateTime: at(2, "PENDING").time,
        history: history.slice(0, 2),
      },
      { ...now, updateTime: at(3, "REJECTED").time },
    ]);
    expect([...changesSince(now, 3)]).toEqual([]);
  });
});
