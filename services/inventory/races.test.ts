import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { newId } from "#mesh/ids.ts";
import { sweepOnce } from "#mesh/postgres/once.ts";
import { cutWhileHeld } from "#testing/locks.ts";
import { callersOf, startTestInventory, type TestInventory } from "./testing/inventory.ts";
import { holdStock } from "./testing/locks.ts";

let inventory: TestInventory;
beforeAll(async () => {
  inventory = await startTestInventory();
});
afterAll(() => inventory?.close());

const { stocked, hold, held, commit, release, restock, stockOf, reservation } = callersOf(() => inventory);

const outcomesOf = (results: readonly ({ ok: true } | { ok: false; error: { reason: string } })[]) =>
  results.map((result) => (result.ok ? "ok" : result.error.reason)).sort();

/** A year on, nothing is left that is swept. */
async function forgetAnswers(): Promise<void> {
  inventory.clock.advance(365 * 24 * 3_600_000);
  await sweepOnce(inventory.db, inventory.clock.now());
}

describe("at the same time", () => {
  test("five units and two hundred buyers make exactly five reservations", async () => {
    const sku = await stocked(5n);
    const buy = async (): Promise<Awaited<ReturnType<typeof hold>>> => {
      const requestId = newId("req");
      for (;;) {
        const result = await hold([{ sku, quantity: 1n }], 60n, requestId);
        // On a machine that is busy with other things, some are late; who buys for real asks again, too.
        if (result.ok || !["DEADLINE_EXCEEDED", "OVERLOADED"].includes(result.error.reason)) return result;
      }
    };
    const results = await Promise.all(Array.from({ length: 200 }, buy));
    const outcomes = outcomesOf(results);
    expect(outcomes).toEqual([...Array.from({ length: 195 }, () => "OUT_OF_STOCK"), ...Array(5).fill("ok")]);
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 5n, available: 0n });
    for (const result of results) if (result.ok) await commit(result.value.reservation?.id ?? "");
    expect(await stockOf(sku)).toEqual({ onHand: 0n, reserved: 0n, available: 0n });
  });

  test("who wants what is sold out waits for nobody's lock", async () => {
    const sku = await stocked(1n);
    await held([{ sku, quantity: 1n }]);
    const lock = await holdStock(inventory.db, sku);
    expect(await hold([{ sku, quantity: 1n }])).toMatchObject({ ok: false, error: { reason: "OUT_OF_STOCK" } });
    await lock.release();
  });

  test("those who want each other's last units never wait for each other", async () => {
    const [a, b] = [await stocked(20n), await stocked(20n)];
    const forth = [a, b].map((sku) => ({ sku, quantity: 1n }));
    const before = inventory.retries();
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, at) => hold(at % 2 === 0 ? forth : forth.toReversed())),
    );
    expect(outcomesOf(results).filter((outcome) => outcome === "ok")).toHaveLength(20);
    // A deadlock would be resolved by the database, and its victim run again.
    expect(inventory.retries()).toBe(before);
  });

  test("fifty copies of a request for the last unit hold it once, and get one answer", async () => {
    const sku = await stocked(1n);
    const requestId = newId("req");
    const copies = Array.from({ length: 50 }, () => hold([{ sku, quantity: 1n }], 60n, requestId));
    const results = await Promise.all(copies);
    for (const result of results) expect(result).toEqual(results[0]);
    expect(results[0]?.ok).toBe(true);
    expect(await stockOf(sku)).toMatchObject({ reserved: 1n });
  });

  test("an id with two bodies holds for one of them", async () => {
    const [a, b] = [await stocked(5n), await stocked(5n)];
    for (let round = 0; round < 5; round += 1) {
      const requestId = newId("req");
      const results = await Promise.all([a, b].map((sku) => hold([{ sku, quantity: 1n }], 60n, requestId)));
      expect(outcomesOf(results)).toEqual(["REQUEST_ID_REUSED", "ok"]);
    }
    const held = await Promise.all([a, b].map(async (sku) => (await stockOf(sku)).reserved ?? 0n));
    expect(held.reduce((sum, units) => sum + units)).toBe(5n);
  });

  test("a commit and a release end in exactly one of the two", async () => {
    const sku = await stocked(10n);
    for (let at = 0; at < 10; at += 1) {
      const id = await held([{ sku, quantity: 1n }]);
      const outcomes = await Promise.all([commit(id), release(id)]);
      expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    }
    expect(await stockOf(sku)).toMatchObject({ reserved: 0n });
  });

  test("one id cannot end two reservations", async () => {
    const sku = await stocked(10n);
    for (const end of [commit, release]) {
      const [one, two] = [await held([{ sku, quantity: 1n }]), await held([{ sku, quantity: 1n }])];
      const requestId = newId("req");
      const results = await Promise.all([end(one, requestId), end(two, requestId)]);
      expect(outcomesOf(results)).toEqual(["REQUEST_ID_REUSED", "ok"]);
      const states = await Promise.all([one, two].map(async (id) => (await reservation(id)).state));
      expect(states).toContain(Reservation_State.ACTIVE);
    }
  });
});

describe("a request that comes again, however late", () => {
  test("holds nothing a second time, and gets the first answer, whatever became of the reservation", async () => {
    const sku = await stocked(5n);
    const requestId = newId("req");
    const first = await hold([{ sku, quantity: 2n }], 60n, requestId);
    if (!first.ok) throw first.error;
    const id = first.value.reservation?.id ?? "";
    await commit(id);
    await restock(id, [{ sku, quantity: 1n }]);
    await forgetAnswers();
    expect(await hold([{ sku, quantity: 2n }], 60n, requestId)).toEqual(first);
    expect(await stockOf(sku)).toEqual({ onHand: 4n, reserved: 0n, available: 4n });
    for (const [quantity, seconds] of [
      [1n, 60n],
      [2n, 61n],
    ] as const) {
      expect(await hold([{ sku, quantity }], seconds, requestId)).toMatchObject({
        ok: false,
        error: { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED", metadata: { request_id: requestId } },
      });
    }
  });

  test("sells nothing a second time, and gets the first answer", async () => {
    const sku = await stocked(5n);
    const [id, other] = [await held([{ sku, quantity: 2n }]), await held([{ sku, quantity: 1n }])];
    const requestId = newId("req");
    const first = await commit(id, requestId);
    expect(first.ok).toBe(true);
    await restock(id, [{ sku, quantity: 1n }]);
    await forgetAnswers();
    expect(await commit(id, requestId)).toEqual(first);
    expect(await commit(other, requestId)).toMatchObject({ ok: false, error: { reason: "REQUEST_ID_REUSED" } });
    expect(await stockOf(sku)).toEqual({ onHand: 4n, reserved: 1n, available: 3n });
  });

  test("gives nothing back a second time, and gets the first answer", async () => {
    const sku = await stocked(5n);
    const id = await held([{ sku, quantity: 2n }]);
    const requestId = newId("req");
    const first = await release(id, requestId);
    expect(first.ok).toBe(true);
    await forgetAnswers();
    expect(await release(id, requestId)).toEqual(first);
    expect(await stockOf(sku)).toEqual({ onHand: 5n, reserved: 0n, available: 5n });
  });
});

describe("a change that is cut half-way", () => {
  /** Ends the one connection that waits for the stock; the caller's runtime asks again, and that copy waits too. */
  async function cutOff<T>(sku: string, begin: () => Promise<T>, whileCut: () => Promise<void>): Promise<T> {
    const held = await holdStock(inventory.db, sku);
    return cutWhileHeld(inventory.db, held, { begin, whileCut });
  }

  test("holds all lines once, and nothing before", async () => {
    const [a, b] = [await stocked(5n), await stocked(5n)];
    const lines = [a, b].map((sku) => ({ sku, quantity: 2n }));
    const requestId = newId("req");
    const result = await cutOff(
      b,
      () => hold(lines, 60n, requestId),
      async () => expect(await stockOf(a)).toMatchObject({ reserved: 0n }),
    );
    expect(await hold(lines, 60n, requestId)).toEqual(result);
    expect(await stockOf(a)).toMatchObject({ reserved: 2n });
    expect(await stockOf(b)).toMatchObject({ reserved: 2n });
  });

  test.each([
    ["sells", commit, Reservation_State.COMMITTED, 3n],
    ["gives back", release, Reservation_State.RELEASED, 5n],
  ] as const)("%s all lines once, and nothing before", async (_, end, state, onHand) => {
    const [a, b] = [await stocked(5n), await stocked(5n)];
    const id = await held([a, b].map((sku) => ({ sku, quantity: 2n })));
    const requestId = newId("req");
    const result = await cutOff(
      b,
      (): Promise<unknown> => end(id, requestId),
      async () => expect((await reservation(id)).state).toBe(Reservation_State.ACTIVE),
    );
    expect(result).toMatchObject({ ok: true, value: { reservation: { state } } });
    expect(await end(id, requestId)).toEqual(result);
    expect(await stockOf(a)).toEqual({ onHand, reserved: 0n, available: onHand });
    expect(await stockOf(b)).toEqual({ onHand, reserved: 0n, available: onHand });
  });
});
