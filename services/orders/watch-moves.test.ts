import { afterEach, beforeEach, expect, it } from "vitest";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { startFaultProxy } from "#testing/fault-proxy.ts";
import { createTestNode } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { startOrderChanges } from "./changes.ts";
import { watchOrder } from "./handlers/read-orders.ts";
import * as store from "./store.ts";
import { newOrder } from "./testing/orders.ts";

const ORDER_ID = "ord_watched";
const WATCHERS = 6;
const CHANGES = 60;
/** Each watcher may come across each of those who go, more than once while that is not known yet. */
const MAX_BREAKS = 100;

let database: TestDatabase;
const cleanUps: (() => unknown)[] = [];
beforeEach(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  cleanUps.push(() => database.close());
  await store.insertOrder(database.db, newOrder({ id: ORDER_ID }), 3_600_000);
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A process of the service that lets orders be watched, by the database alone; it can leave, or be gone at once. */
async function startInstance() {
  const node = createTestNode("orders", { startupGraceMs: 0 }, undefined, { logLevel: "silent" });
  const changes = startOrderChanges({ db: database.db, log: node.log, intervalMs: 5 });
  const unused = (): never => {
    throw new Error("not part of this test");
  };
  const handlers = Object.fromEntries(Object.keys(OrderService.methods).map((name) => [name, unused]));
  const watching: Implementation = {
    contract: OrderService,
    handlers: { ...handlers, watchOrder: watchOrder({ db: database.db, changes }) },
  };
  const server = await node.serve({ services: [watching], close: () => changes.close() });
  const upstream = `${server.host}:${server.port}`;
  const wire = await startFaultProxy({ protocol: "tcp", caller: "test", callee: "orders", upstream: () => upstream });
  let gone: Promise<void> | undefined;
  const kill = (): Promise<void> => {
    gone ??= wire.close();
    return gone;
  };
  cleanUps.push(
    () => node.close(),
    () => server.close(),
    kill,
  );
  return { address: wire.address, leave: () => server.close(), kill };
}

/** One change more, as some process writes it. */
async function change(note: string, to: "pending" | "cancelled" = "pending"): Promise<void> {
  const moves = {
    pending: "version = version + 1",
    cancelled: "version = version + 1, state = 'CANCELLED', step = 'done', next_attempt_time = null",
  };
  await database.db.query(
    `with changed as (update orders set ${moves[to]} where id = $1 returning version, state, step)
     insert into order_events select $1, version, now(), state, step, 'test', $2 from changed`,
    [ORDER_ID, note],
  );
}

it("whoever watches sees each change once, in order, while instances leave and die under the stream", async () => {
  const [dying, leaving, staying] = [await startInstance(), await startInstance(), await startInstance()];
  const clients = [dying, leaving, staying].map(({ address }) => {
    const caller = createTestNode("operator", { startupGraceMs: 0, endpoints: staticEndpoints({ orders: [address] }) });
    cleanUps.push(() => caller.close());
    return { orders: caller.client(OrderService), background: caller.background };
  });

  let breaks = 0;
  /** Watches from one of the instances, and goes on from the next. */
  const watch = async (at: number, onFirst: () => void): Promise<readonly string[]> => {
    const notes: string[] = [];
    let resumeToken = "";
    for (let turn = at; ; turn += 1) {
      const { orders, background } = clients[turn % clients.length] ?? expect.fail("there are three");
      const call = background({ name: "watch", timeoutMs: 60_000 });
      try {
        for await (const answer of orders.watchOrder({ orderId: ORDER_ID, resumeToken }, call)) {
          ({ resumeToken } = answer);
          notes.push(answer.order?.history.at(-1)?.note ?? "");
          onFirst();
        }
        return notes;
      } catch (error) {
        if (!(error instanceof RpcError) || error.code !== "UNAVAILABLE") throw error;
        breaks += 1;
        if (breaks > MAX_BREAKS) throw error;
        // As any client would: not at once, for who is gone is found out a moment later.
        await new Promise((resolve) => setTimeout(resolve, 20));
      } finally {
        call.done();
      }
    }
  };
  const begun: Promise<void>[] = [];
  const watching = Array.from({ length: WATCHERS }, (_, at) => {
    let seen: Promise<readonly string[]> | undefined;
    begun.push(
      new Promise((onFirst) => {
        seen = watch(at, onFirst);
      }),
    );
    return seen;
  });
  await Promise.all(begun);
  const left: Promise<void>[] = [];
  for (let n = 1; n <= CHANGES; n += 1) {
    await change(`change ${n}`);
    if (n === CHANGES / 3) await dying.kill();
    if (n === (2 * CHANGES) / 3) left.push(leaving.leave());
  }
  await Promise.all(left);
  await change("undone", "cancelled");
  const expected = ["placed", ...Array.from({ length: CHANGES }, (_, n) => `change ${n + 1}`), "undone"];
  for (const notes of await Promise.all(watching)) expect(notes).toEqual(expected);
  expect(breaks).toBeGreaterThanOrEqual((WATCHERS * 2) / 3);
});
