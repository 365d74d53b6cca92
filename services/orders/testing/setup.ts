import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { Order } from "#gen/shop/orders/v1/order.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { startTestShop, type TestShop } from "./shop.ts";

/** A fresh shop for each test of a file, on one database that each test finds empty. */
export function shopForEachTest(options?: Parameters<typeof startTestShop>[1]): {
  readonly shop: TestShop;
  readonly db: Database;
} {
  let database: TestDatabase | undefined;
  let shop: TestShop | undefined;
  beforeAll(async () => {
    database = await testDatabase(new URL("../migrations/", import.meta.url));
  });
  afterAll(() => database?.close());
  beforeEach(async () => {
    await started(database).db.query("truncate orders, once_requests cascade");
    shop = await startTestShop(started(database).db, options);
  });
  afterEach(() => shop?.close());
  return {
    get shop() {
      return started(shop);
    },
    get db() {
      return started(database).db;
    },
  };
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("not started yet");
  return part;
}

/** The order of an answer, which must have one. */
export function orderOf({ order }: { readonly order: Order | undefined }): Order {
  if (order === undefined) throw new Error("an answer without an order");
  return order;
}
