import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { isReason } from "#mesh/contract/errors.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type Database, openDatabase } from "./database.ts";
import { isSerializationFailure, isUniqueViolation } from "./errors.ts";
import { MAX_RETRIES } from "./limits.ts";
import type { Transaction } from "./transaction.ts";

let test1: TestDatabase;
let db: Database;
beforeAll(async () => {
  test1 = await testDatabase(new URL("./testdata/", import.meta.url));
  db = test1.db;
});
afterAll(() => test1.close());
beforeEach(() => db.query("truncate accounts"));

const insert = "insert into accounts (id, balance) values ($1, $2)";
const add = "update accounts set balance = balance + $2 where id = $1";
const balances = async () => {
  const rows = await db.query<{ id: string; balance: bigint }>("select id, balance from accounts order by id");
  return Object.fromEntries(rows.map(({ id, balance }) => [id, balance]));
};

test("commits all of its statements, and returns what the work returns", async () => {
  const result = await db.transaction(async (tx) => {
    await tx.query(insert, ["a", 1n]);
    await tx.query(insert, ["b", 2n]);
    return "done";
  });
  expect(result).toBe("done");
  expect(await balances()).toEqual({ a: 1n, b: 2n });
});

test("leaves nothing when the work throws, and passes its error on", async () => {
  const failure = new Error("no");
  const run = db.transaction(async (tx) => {
    await tx.query(insert, ["a", 1n]);
    throw failure;
  });
  await expect(run).rejects.toBe(failure);
  expect(await balances()).toEqual({});
});

test("leaves nothing when a statement fails, and the connection serves on", async () => {
  const single = openDatabase({ url: test1.url, log: pino({ level: "silent" }), maxConnections: 1 });
  const error = await single
    .transaction(async (tx) => {
      await tx.query(insert, ["a", 1n]);
      await tx.query(insert, ["a", 1n]);
    })
    .catch((failure: unknown) => failure);
  expect(isUniqueViolation(error)).toBe(true);
  expect(await single.query("select id from accounts")).toEqual([]);
  await single.close();
});

test("does not pretend to have committed when the work swallowed a failed statement", async () => {
  const run = db.transaction(async (tx) => {
    await tx.query(insert, ["a", 1n]);
    await tx.query(insert, ["a", 1n]).catch(() => {});
  });
  await expect(run).rejects.toThrow(/could not commit/);
  expect(await balances()).toEqual({});
});

test("statements given together run in their order", async () => {
  await db.transaction((tx) =>
    Promise.all([tx.query(insert, ["a", 1n]), tx.query(add, ["a", 4n]), tx.query(add, ["a", -2n])]),
  );
  expect(await balances()).toEqual({ a: 3n });
});

test("the last statement takes effect with the commit, or undoes everything", async () => {
  await db.transaction(async (tx) => tx.last(insert, ["a", 1n]));
  const error = await db
    .transaction(async (tx) => {
      await tx.query(insert, ["b", 1n]);
      tx.last(insert, ["a", 1n]);
    })
    .catch((failure: unknown) => failure);
  expect(isUniqueViolation(error)).toBe(true);
  expect(await balances()).toEqual({ a: 1n });
});

test("hands the rows of the opening statements to the work", async () => {
  const opening = [{ text: "select 1 as first" }, { text: "select $1::text as second", values: ["two"] }];
  const opened = await db.transaction(async (_, rows) => rows, { opening });
  expect(opened).toEqual([[{ first: 1 }], [{ second: "two" }]]);
});

test("cannot be used after its end", async () => {
  let escaped: Transaction | undefined;
  await db.transaction(async (tx) => {
    escaped = tx;
  });
  await expect(escaped?.query("select 1 as late")).rejects.toThrow(/is over/);
});

test("a statement that exceeds its time is DEADLINE_EXCEEDED, and the limit ends with the transaction", async () => {
  const single = openDatabase({ url: test1.url, log: pino({ level: "silent" }), maxConnections: 1 });
  const error = await single
    .transaction((tx) => tx.query("select pg_sleep(10)"), { statementTimeoutMs: 30 })
    .catch((failure: unknown) => failure);
  expect(isReason(error, "DEADLINE_EXCEEDED")).toBe(true);
  expect(await single.query("show statement_timeout")).toEqual([{ statement_timeout: "15s" }]);
  await single.close();
});

test("two transactions that deadlock both take effect, one of them on a later run", async () => {
  await db.query("insert into accounts (id, balance) values ('a', 0), ('b', 0)");
  let runs = 0;
  let meet: () => void = () => {};
  const bothHoldOne = new Promise<void>((resolve) => {
    meet = resolve;
  });
  const move = (first: string, second: string) =>
    db.transaction(async (tx) => {
      await tx.query(add, [first, 1n]);
      runs += 1;
      if (runs === 2) meet();
      await bothHoldOne;
      await tx.query(add, [second, 1n]);
    });
  await Promise.all([move("a", "b"), move("b", "a")]);
  expect(runs).toBeGreaterThan(2);
  expect(await balances()).toEqual({ a: 2n, b: 2n });
});

test("gives up on a transaction that loses every time", async () => {
  let runs = 0;
  const error = await db
    .transaction(async (tx) => {
      runs += 1;
      await tx.query("do $$ begin raise exception using errcode = '40001'; end $$");
    })
    .catch((failure: unknown) => failure);
  expect(isSerializationFailure(error)).toBe(true);
  expect(runs).toBe(1 + MAX_RETRIES);
});
