import { pino } from "pino";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { isReason } from "#mesh/contract/errors.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { openDatabase } from "./database.ts";
import { isCheckViolation, isUniqueViolation } from "./errors.ts";
import { CONNECTION_TIMEOUT_MS, MAX_STATEMENTS } from "./limits.ts";

const log = pino({ level: "silent" });
let test1: TestDatabase;
beforeAll(async () => {
  test1 = await testDatabase(new URL("./testdata/", import.meta.url));
});
afterAll(() => test1.close());

test("columns arrive in types that lose nothing", async () => {
  const [row] = await test1.db.query(
    `select 9223372036854775807::int8 as big, array[1, null, 3]::int8[] as bigs, null::int8 as none, 7::int4 as small,
      '2026-02-03T04:05:06.789Z'::timestamptz as time, date '2026-02-03' as day, '{"a": [1]}'::jsonb as json,
      '\\x00ff'::bytea as bytes, 12.50::numeric as exact`,
  );
  expect(row).toEqual({
    big: 9_223_372_036_854_775_807n,
    bigs: [1n, null, 3n],
    none: null,
    small: 7,
    time: new Date("2026-02-03T04:05:06.789Z"),
    day: "2026-02-03",
    json: { a: [1] },
    bytes: Buffer.from([0, 255]),
    exact: "12.50",
  });
});

test("parameters go in unchanged", async () => {
  const values = [
    2n ** 62n,
    [2n ** 62n, 1n],
    new Date("2026-02-03T04:05:06.789Z"),
    undefined,
    new Uint8Array([0, 255]),
  ];
  const [row] = await test1.db.query(
    "select $1::int8 as big, $2::int8[] as bigs, $3::timestamptz as time, $4::text as none, $5::bytea as bytes",
    values,
  );
  expect(row).toEqual({ big: values[0], bigs: values[1], time: values[2], none: null, bytes: Buffer.from([0, 255]) });
});

test("each text is prepared once and kept by its connection", async () => {
  const db = openDatabase({ url: test1.url, log, maxConnections: 1 });
  for (let i = 0; i < 3; i += 1) await db.query("select 1 as prepared_probe");
  const rows = await db.query("select 1 as found from pg_prepared_statements where statement like '%prepared_probe'");
  expect(rows).toHaveLength(1);
  await db.close();
});

test("refuses texts that are put together from values", async () => {
  const db = openDatabase({ url: test1.url, log, maxConnections: 1 });
  for (let i = 0; i < MAX_STATEMENTS; i += 1) await db.query(`select ${i} as value`);
  await expect(db.query(`select ${MAX_STATEMENTS} as value`)).rejects.toThrow(/must be constant/);
  await expect(db.query("select 0 as value")).resolves.toEqual([{ value: 0 }]);
  await db.close();
});

test("tells which constraint refused a row", async () => {
  const insert = "insert into accounts (id, balance) values ($1, $2)";
  await test1.db.query(insert, ["constrained", 1n]);
  const twice = await test1.db.query(insert, ["constrained", 1n]).catch((error: unknown) => error);
  expect(isUniqueViolation(twice)).toBe(true);
  expect(isUniqueViolation(twice, "accounts_pkey")).toBe(true);
  expect(isUniqueViolation(twice, "another")).toBe(false);
  const negative = await test1.db.query(insert, ["negative", -1n]).catch((error: unknown) => error);
  expect(isCheckViolation(negative, "balance_not_negative")).toBe(true);
  expect(isUniqueViolation(negative)).toBe(false);
});

test("a connection that the server ends fails its statement as UNAVAILABLE, and the next statement gets another", async () => {
  const db = openDatabase({ url: test1.url, log, maxConnections: 1 });
  const error = await db.query("select pg_terminate_backend(pg_backend_pid())").catch((failure: unknown) => failure);
  expect(isReason(error, "SERVICE_UNAVAILABLE")).toBe(true);
  expect(await db.query("select 1 as alive")).toEqual([{ alive: 1 }]);
  await db.close();
});

test("a connection that breaks while idle is logged, and harms nobody", async () => {
  let heard: () => void = () => {};
  const logged = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const db = openDatabase({ url: test1.url, log: { warn: () => heard() }, maxConnections: 1 });
  const [mine] = await db.query<{ pid: number }>("select pg_backend_pid() as pid");
  await test1.db.query("select pg_terminate_backend($1)", [mine?.pid]);
  await logged;
  expect(await db.query("select 1 as alive")).toEqual([{ alive: 1 }]);
  await db.close();
});

test("a server that cannot be reached is UNAVAILABLE", async () => {
  const url = new URL(test1.url);
  // Nobody listens on port 1.
  url.port = "1";
  const db = openDatabase({ url: url.href, log });
  const error = await db.query("select 1 as never").catch((failure: unknown) => failure);
  expect(isReason(error, "SERVICE_UNAVAILABLE")).toBe(true);
  await db.close();
});

test("a call that finds no free connection in time is refused as overload", async () => {
  const db = openDatabase({ url: test1.url, log, maxConnections: 1 });
  await db.transaction(async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const refused = db.query("select 1 as never").catch((failure: unknown) => failure);
      await vi.advanceTimersByTimeAsync(CONNECTION_TIMEOUT_MS);
      expect(isReason(await refused, "OVERLOADED")).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });
  await db.close();
});

test("shows under its application's name, and may be closed twice", async () => {
  const db = openDatabase({ url: test1.url, log, applicationName: "inventory" });
  const rows = await db.query("select application_name from pg_stat_activity where pid = pg_backend_pid()");
  expect(rows).toEqual([{ application_name: "inventory" }]);
  await Promise.all([db.close(), db.close()]);
});

test("once closed, none of its connections is left on the server", async () => {
  const name = "about to close";
  const db = openDatabase({ url: test1.url, log, applicationName: name });
  await Promise.all(Array.from({ length: 5 }, () => db.query("select pg_sleep(0.01)")));
  const count = "select count(*) as left from pg_stat_activity where application_name = $1";
  expect(await test1.db.query(count, [name])).toEqual([{ left: 5n }]);
  await db.close();
  expect(await test1.db.query(count, [name])).toEqual([{ left: 0n }]);
});
