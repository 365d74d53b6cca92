import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { openDatabase } from "./database.ts";
import { sealingKey } from "./sealing-key.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase(new URL("./testdata/", import.meta.url));
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.db.query("delete from sealing_key");
});

it("is made once, and is the same for ever after", async () => {
  const key = await sealingKey(database.db);
  expect(key).toHaveLength(SEALING_KEY_BYTES);
  expect(await sealingKey(database.db)).toEqual(key);
});

it("is one key for processes that start at the same time", async () => {
  const others = Array.from({ length: 4 }, () =>
    openDatabase({ url: database.url, log: pino({ level: "silent" }), maxConnections: 2 }),
  );
  try {
    const keys = await Promise.all([...others, ...others].map((db) => sealingKey(db)));
    expect(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size).toBe(1);
  } finally {
    await Promise.all(others.map((db) => db.close()));
  }
});

it("is that of the process which wrote first, for one that came while it was being written", async () => {
  let second: Promise<Uint8Array> | undefined;
  const first = await database.db.transaction(async (tx) => {
    const key = await sealingKey(tx);
    // It sees no key yet, makes one of its own, and is held up by ours.
    second = sealingKey(database.db);
    await waits(tx);
    return key;
  });
  expect(await second).toEqual(first);
});

it("is made by the next one when the process that was making it fails", async () => {
  const given: Uint8Array[] = [];
  let second: Promise<Uint8Array> | undefined;
  const first = database.db.transaction(async (tx) => {
    given.push(await sealingKey(tx));
    second = sealingKey(database.db);
    await waits(tx);
    throw new Error("the process ended");
  });
  await expect(first).rejects.toThrow("the process ended");
  const key = await second;
  expect(key).not.toEqual(given[0]);
  expect(await sealingKey(database.db)).toEqual(key);
});

async function waits(tx: Parameters<typeof sealingKey>[0]): Promise<void> {
  for (;;) {
    const [row] = await tx.query<{ waiting: boolean }>(
      `select exists (
         select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))) as waiting`,
    );
    if (row?.waiting === true) return;
  }
}

it("is not there a second time", async () => {
  await sealingKey(database.db);
  await expect(database.db.query("insert into sealing_key (key) values ('')")).rejects.toThrow();
  await expect(database.db.query("insert into sealing_key (one, key) values (false, '')")).rejects.toThrow();
});
