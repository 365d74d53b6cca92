import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { systemClock } from "#mesh/clock.ts";
import { isReason } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type Database, openDatabase } from "./database.ts";
import { isCheckViolation } from "./errors.ts";
import { balanceIn, callOf, clock, method, type Open, open } from "./once.fixture.ts";
import { type OnceCall, once } from "./once.ts";

let test1: TestDatabase;
let db: Database;
beforeAll(async () => {
  test1 = await testDatabase(new URL("./testdata/", import.meta.url));
  db = test1.db;
});
afterAll(() => test1.close());
afterEach(async () => {
  await db.query("truncate accounts");
  await db.query("truncate once_requests");
});

const balance = () => balanceIn(db);
const failureOf = (run: Promise<unknown>) =>
  run.then(
    () => undefined,
    (error: unknown) => error,
  );

test("takes a Call as it is", () => {
  const same = (call: Call): OnceCall => call;
  expect(same).toBeTypeOf("function");
});

test("a repeated request gets the first answer and has no effect", async () => {
  const request = { requestId: "r1", amount: 5 };
  expect(await open(db, callOf(), request)).toEqual({ balance: "5" });
  await db.query("update accounts set balance = 100");
  expect(await open(db, callOf(), request)).toEqual({ balance: "5" });
  expect(await balance()).toBe(100n);
});

test("the same request_id with another body is refused, with no effect", async () => {
  await open(db, callOf(), { requestId: "r1", amount: 5 });
  const error = await failureOf(open(db, callOf(), { requestId: "r1", amount: 6 }));
  expect(isReason(error, "REQUEST_ID_REUSED")).toBe(true);
  expect(error).toMatchObject({ metadata: { request_id: "r1" } });
  expect(await balance()).toBe(5n);
});

test("fifty concurrent copies, from two processes' pools, have one effect and get one answer", async () => {
  const other = openDatabase({ url: test1.url, log: pino({ level: "silent" }), maxConnections: 3 });
  const request = { requestId: "r1", amount: 5 };
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => open(index % 2 === 0 ? db : other, callOf(), request)),
  );
  expect(answers).toEqual(Array.from({ length: 50 }, () => ({ balance: "5" })));
  expect(await balance()).toBe(5n);
  await other.close();
});

test("fifty concurrent requests with their own ids all take effect", async () => {
  await Promise.all(
    Array.from({ length: 50 }, (_, index) => open(db, callOf(), { requestId: `r${index}`, amount: 1 })),
  );
  expect(await balance()).toBe(50n);
});

test("an effect that throws leaves nothing, so that the same request may be tried again", async () => {
  const request = { requestId: "r1", amount: 5 };
  const failure = new Error("no");
  const failing = once(db, callOf(), request, clock, async (tx) => {
    await tx.query("insert into accounts (id, balance) values ('a', 1)");
    throw failure;
  });
  expect(await failureOf(failing)).toBe(failure);
  expect(await balance()).toBeUndefined();
  expect(await db.query("select method from once_requests")).toEqual([]);
  expect(await open(db, callOf(), request)).toEqual({ balance: "5" });
});

test("the errors of the effect's statements pass through", async () => {
  const error = await failureOf(open(db, callOf(), { requestId: "r1", amount: -5 }));
  expect(isCheckViolation(error, "balance_not_negative")).toBe(true);
});

test("ids of different methods, users and workloads never meet", async () => {
  const request = { requestId: "r1", amount: 1 };
  const gateway = { caller: "gateway" };
  const calls = [
    callOf(),
    callOf({ method: { ...method, path: "/shop.test.v1.AccountService/Other" } }),
    callOf({ caller: "cart" }),
    callOf({ ...gateway, user: { id: "usr_1" } }),
    callOf({ ...gateway, user: { id: "usr_2" } }),
    callOf(gateway),
    // Its user is whom it acts for, not whose id it is.
    callOf({ caller: "shipping", user: { id: "usr_1" } }),
  ];
  for (const call of calls) await open(db, call, request);
  expect(await balance()).toBe(BigInt(calls.length));
});

/** A copy that holds the lock until it is let go on. */
function holdingCopy(
  request: Open,
  end: () => Promise<unknown>,
): { readonly entered: Promise<void>; done: Promise<unknown> } {
  let enter: () => void = () => {};
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const done = failureOf(
    open(db, callOf(), request, () => {
      enter();
      return end();
    }),
  );
  return { entered, done };
}

test("a copy that waits for the first one ends at its own deadline, and the first one is unharmed", async () => {
  const request = { requestId: "r1", amount: 5 };
  let letGo: () => void = () => {};
  const first = holdingCopy(request, () => new Promise<void>((resolve) => (letGo = resolve)));
  await first.entered;
  const waited = await failureOf(open(db, callOf({ deadline: systemClock.now().getTime() + 100 }), request));
  expect(isReason(waited, "DEADLINE_EXCEEDED")).toBe(true);
  letGo();
  expect(await first.done).toBeUndefined();
  expect(await open(db, callOf(), request)).toEqual({ balance: "5" });
});

test("a copy whose caller gave up while it waited does not start the effect", async () => {
  const request = { requestId: "r1", amount: 5 };
  const failure = new Error("the first one fails");
  let letGo: () => void = () => {};
  const first = holdingCopy(request, () => new Promise<void>((_, reject) => (letGo = () => reject(failure))));
  await first.entered;
  const controller = new AbortController();
  const gaveUp = new Error("gave up");
  const second = failureOf(open(db, callOf({ signal: controller.signal }), request));
  controller.abort(gaveUp);
  letGo();
  expect(await first.done).toBe(failure);
  expect(await second).toBe(gaveUp);
  expect(await balance()).toBeUndefined();
});

test("a call that is over already does nothing", async () => {
  const gaveUp = new Error("gave up");
  const error = await failureOf(
    open(db, callOf({ signal: AbortSignal.abort(gaveUp) }), { requestId: "r1", amount: 5 }),
  );
  expect(error).toBe(gaveUp);
  expect(await balance()).toBeUndefined();
});
