import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type Database, openDatabase } from "./database.ts";
import { ONCE_RETENTION_MS, SWEEP_BATCH_SIZE, SWEEP_MAX_BATCHES } from "./limits.ts";
import { balanceIn, callOf, clock, open } from "./once.fixture.ts";
import { sweepOnce } from "./once.ts";
import { startOnceSweep } from "./once-sweep.ts";

const log = pino({ level: "silent" });
let test1: TestDatabase;
let db: Database;
let other: Database;
beforeAll(async () => {
  test1 = await testDatabase(new URL("./testdata/", import.meta.url));
  db = test1.db;
  other = openDatabase({ url: test1.url, log, maxConnections: 5 });
});
afterAll(async () => {
  await other.close();
  await test1.close();
});
afterEach(async () => {
  await db.query("truncate accounts");
  await db.query("truncate once_requests");
});

/** Answers of an age, as if given by some other method. */
async function answersOfAge(ageMs: number, count = 1): Promise<void> {
  await db.query(
    `insert into once_requests (method, principal, request_id, request_sha256, response, create_time)
    select 'm', 'p', $3 || n, '', '', $2::timestamptz from generate_series(1, $1) n`,
    [count, new Date(clock.now().getTime() - ageMs), `${ageMs} ms, `],
  );
}

const left = async () =>
  (await db.query<{ id: string }>("select request_id as id from once_requests order by 1")).map(({ id }) => id);

/** A moment after which everything that there is counts as old. */
const later = () => new Date(clock.now().getTime() + 1);

test("removes the answers older than asked, however many, and no other", async () => {
  await answersOfAge(1, SWEEP_BATCH_SIZE + 1);
  await open(db, callOf(), { requestId: "young", amount: 1 });
  expect(await sweepOnce(db, clock.now())).toBe(SWEEP_BATCH_SIZE + 1);
  expect(await left()).toEqual(["young"]);
});

test("in the background it keeps answers for seven days and not much longer", async () => {
  await answersOfAge(ONCE_RETENTION_MS + 1);
  await answersOfAge(ONCE_RETENTION_MS);
  const sweep = startOnceSweep({ db, clock, log, everyMs: 10 });
  await expect.poll(left).toEqual([`${ONCE_RETENTION_MS} ms, 1`]);
  await sweep.close();
});

test("a request that is not finished is neither forgotten nor waited for", async () => {
  const request = { requestId: "r1", amount: 5 };
  let enter: () => void = () => {};
  let letGo: () => void = () => {};
  const entered = new Promise<void>((resolve) => (enter = resolve));
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const first = open(db, callOf(), request, () => {
    enter();
    return held;
  });
  await entered;
  expect(await sweepOnce(other, later())).toBe(0);
  letGo();
  expect(await first).toEqual({ balance: "5" });
  expect(await open(other, callOf(), request)).toEqual({ balance: "5" });
  expect(await balanceIn(db)).toBe(5n);
});

test("several at once remove each answer once, and none waits for another", async () => {
  await answersOfAge(1, 3 * SWEEP_BATCH_SIZE);
  const removed = await Promise.all([sweepOnce(db, later()), sweepOnce(other, later()), sweepOnce(db, later())]);
  expect(removed.reduce((sum, count) => sum + count, 0)).toBe(3 * SWEEP_BATCH_SIZE);
  expect(await left()).toEqual([]);
});

test("what another one is removing is left to it", async () => {
  await answersOfAge(2);
  await answersOfAge(1);
  await db.transaction(async (tx) => {
    await tx.query("delete from once_requests where request_id = '2 ms, 1'");
    expect(await sweepOnce(other, later())).toBe(1);
  });
  expect(await left()).toEqual([]);
});

test("a copy that comes while its answer is being removed gets it; those that come after have one effect", async () => {
  const request = { requestId: "r1", amount: 5 };
  await open(db, callOf(), request);
  const copies = () => Promise.all(Array.from({ length: 50 }, () => open(other, callOf(), request)));
  const answers = (balance: string) => Array.from({ length: 50 }, () => ({ balance }));
  await db.transaction(async (tx) => {
    await tx.query("delete from once_requests");
    expect(await copies()).toEqual(answers("5"));
  });
  expect(await balanceIn(db)).toBe(5n);
  expect(await copies()).toEqual(answers("10"));
  expect(await balanceIn(db)).toBe(10n);
});

test("copies and sweeps at once make one effect more at most, and every copy is answered", async () => {
  const request = { requestId: "r1", amount: 5 };
  await open(db, callOf(), request);
  const longAgo = later();
  clock.advance(60_000);
  const [answers] = await Promise.all([
    Promise.all(Array.from({ length: 50 }, () => open(other, callOf(), request))),
    ...Array.from({ length: 5 }, () => sweepOnce(db, longAgo)),
  ]);
  const last = await balanceIn(db);
  expect([5n, 10n]).toContain(last);
  // Those that came before the sweep have the first answer, all others that of the one effect after it.
  expect(new Set([...answers.map(({ balance }) => balance), "5", `${last}`]).size).toBe(last === 5n ? 1 : 2);
  expect(await open(db, callOf(), request)).toEqual({ balance: `${last}` });
});

test("a round is bounded, and ends between two batches when its owner closes", async () => {
  const endless = { ...db, query: async () => Array.from({ length: SWEEP_BATCH_SIZE }) } as unknown as Database;
  expect(await sweepOnce(endless, later())).toBe(SWEEP_MAX_BATCHES * SWEEP_BATCH_SIZE);
  await answersOfAge(1);
  expect(await sweepOnce(db, later(), AbortSignal.abort())).toBe(0);
  expect(await left()).toHaveLength(1);
});
