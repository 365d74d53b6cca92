import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type Database, openDatabase } from "./database.ts";
import { erasePersonalData, type PersonalPlace, storedAnswers } from "./erasure.ts";
import { ERASURE_BATCH_SIZE } from "./limits.ts";
import { callOf, clock, method } from "./once.fixture.ts";
import { once } from "./once.ts";

let database: TestDatabase;
let db: Database;
let other: Database;
beforeAll(async () => {
  database = await testDatabase(new URL("./testdata/", import.meta.url));
  db = database.db;
  other = openDatabase({ url: database.url, log: pino({ level: "silent" }) });
});
afterAll(async () => {
  await other?.close();
  await database?.close();
});
beforeEach(() => db.query("truncate accounts, once_requests, erased_records"));

const call = { signal: new AbortController().signal };
const request = { requestId: "request-1", customerId: "usr_1" };

/** Accounts whose ids begin with that of their owner. */
const accounts: PersonalPlace = {
  place: "test.accounts",
  kept: "nothing",
  erase: async (tx, customerId, limit) =>
    (
      await tx.query(
        `delete from accounts where id in (select id from accounts where id like $1 || '%' order by id limit $2 for update)
         returning id`,
        [customerId, limit],
      )
    ).length,
  left: async (on, customerId) =>
    (await on.query("select id from accounts where id like $1 || '%'", [customerId])).length,
};

const fill = (owner: string, count: number) =>
  db.query("insert into accounts (id, balance) select $1 || n, 0 from generate_series(1, $2::int) n", [owner, count]);
const MANY = ERASURE_BATCH_SIZE * 2 + 7;
const done = { place: "test.accounts", erasedCount: BigInt(MANY), leftCount: 0n, kept: "nothing" };

test("erases what is one person's, however much, and tells how much it was each time", async () => {
  await fill("usr_1", MANY);
  await fill("usr_2", 1);
  expect(await erasePersonalData(db, call, request, [accounts])).toEqual([done]);
  expect(await erasePersonalData(db, call, request, [accounts])).toEqual([done]);
  expect(await accounts.left(db, "usr_2")).toBe(1);
});

test("goes on where it was cut off, and counts nothing twice", async () => {
  await fill("usr_1", MANY);
  let batches = 0;
  const cutOff: PersonalPlace = {
    ...accounts,
    erase: async (tx, customerId, limit) => {
      const erased = await accounts.erase(tx, customerId, limit);
      batches += 1;
      if (batches === 2) throw new Error("the process ended here");
      return erased;
    },
  };
  await expect(erasePersonalData(db, call, request, [cutOff])).rejects.toThrow("ended here");
  expect(await accounts.left(db, "usr_1")).toBe(MANY - ERASURE_BATCH_SIZE);
  expect(await erasePersonalData(other, call, request, [accounts])).toEqual([done]);
});

test("ten at once, under one request or under several, erase each record once", async () => {
  await fill("usr_1", MANY);
  const ids = ["request-1", "request-2"];
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, at) =>
      erasePersonalData(at % 2 === 0 ? db : other, call, { ...request, requestId: ids[at % 2] ?? "" }, [accounts]),
    ),
  );
  expect(answers.flat().every(({ leftCount }) => leftCount === 0n)).toBe(true);
  const counts = await db.query<{ sum: bigint }>("select sum(erased_count)::int8 as sum from erased_records");
  expect(counts).toEqual([{ sum: BigInt(MANY) }]);
});

test("what comes later is erased by the same request, and what may not go is told of", async () => {
  await fill("usr_1", 1);
  const stays: PersonalPlace = { ...accounts, place: "test.needed", erase: async () => 0, left: async () => 3 };
  await erasePersonalData(db, call, request, [accounts, stays]);
  await fill("usr_1", 2);
  expect(await erasePersonalData(db, call, request, [accounts, stays])).toMatchObject([
    { erasedCount: 3n, leftCount: 0n },
    { place: "test.needed", erasedCount: 0n, leftCount: 3n },
  ]);
});

test("a request_id that stands for somebody else erases nothing", async () => {
  await fill("usr_2", 1);
  await erasePersonalData(db, call, request, [accounts]);
  await expect(erasePersonalData(db, call, { ...request, customerId: "usr_2" }, [accounts])).rejects.toMatchObject({
    reason: "REQUEST_ID_REUSED",
  });
  expect(await accounts.left(db, "usr_2")).toBe(1);
});

test("ends with its call", async () => {
  await fill("usr_1", 1);
  const ended = { signal: AbortSignal.abort(new Error("too late")) };
  await expect(erasePersonalData(db, ended, request, [accounts])).rejects.toThrow("too late");
  expect(await accounts.left(db, "usr_1")).toBe(1);
});

test("stored answers are a person's by who asked, or by of whom they tell", async () => {
  const answer = (path: string, userId: string, about?: string) =>
    once(
      db,
      callOf({ method: { ...method, path }, caller: "gateway", user: { id: userId } }),
      { requestId: crypto.randomUUID() },
      clock,
      async (tx) => {
        if (about !== undefined) tx.about(about);
        return {};
      },
    );
  const cancel = OrderService.definition.cancelOrder.path;
  await answer(cancel, "usr_1");
  await answer(cancel, "usr_support", "usr_1");
  await answer(cancel, "usr_support", "usr_2");
  await answer(cancel, "usr_2");
  await answer(method.path, "usr_1");
  const places = [storedAnswers("orders.once_requests", [OrderService])];
  expect(await erasePersonalData(db, call, request, places)).toMatchObject([{ erasedCount: 2n, leftCount: 0n }]);
  const left = await db.query("select method, principal from once_requests order by principal");
  expect(left).toEqual([
    { method: method.path, principal: "usr_1" },
    { method: cancel, principal: "usr_2" },
    { method: cancel, principal: "usr_support" },
  ]);
});
