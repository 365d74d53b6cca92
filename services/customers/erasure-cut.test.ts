import { afterAll, beforeAll, expect, test } from "vitest";
import { Erasure_State } from "#gen/shop/customers/v1/customer.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { peopleOf, startTestCustomers, type TestCustomers } from "./testing/customers.ts";
import { RECORDS } from "./testing/fake-services.ts";

// What becomes of erasures whose process ends, half-way or at once with others. The service takes calls here and moves
// nothing on; what moves erasures on are further processes, which end where a test says.

let customers: TestCustomers;
beforeAll(async () => {
  customers = await startTestCustomers();
  await customers.closeCustomers();
});
afterAll(() => customers?.close());

const { erase, erasure, person } = peopleOf(() => customers);

/** More statements than an erasure takes, and how far apart those are before which a process ends. */
const MANY = 400;
const STRIDE = 9;
const patience = { interval: 5, timeout: 15_000 };

/** The database as a process sees it that ends before its statement number `after`; what it had begun is undone. */
function endingBefore(db: Database, after: number): { readonly db: Database; ended(): boolean } {
  let statements = 0;
  const step = (): void => {
    statements += 1;
    if (statements > after) throw new Error("the process ended here");
  };
  return {
    ended: () => statements > after,
    db: {
      ...db,
      query: async (text, values) => {
        step();
        return db.query(text, values);
      },
      transaction: async (work, options) => {
        const result = await db.transaction(async (tx, opened) => {
          const query: typeof tx.query = async (text, values) => {
            step();
            return tx.query(text, values);
          };
          return work({ ...tx, query }, opened);
        }, options);
        step();
        return result;
      },
    },
  };
}

/** As if the lease of whoever ended had run out. */
const expireLeases = () => customers.database.db.query("update erasures set lease_until = now()");

async function isDone(id: string): Promise<boolean> {
  customers.clock.advance(60_000);
  return (await erasure(id)).state === Erasure_State.DONE;
}

test("an erasure goes on wherever its process ended, and counts everything once", async () => {
  let ends = 0;
  for (let after = 1; after < MANY; after += STRIDE) {
    const { id, customerId } = await erase(person());
    const process = endingBefore(customers.database.db, after);
    const first = customers.startAnother(process.db);
    await expect.poll(async () => process.ended() || (await isDone(id)), patience).toBe(true);
    await first.close();
    const ended = process.ended() && !(await isDone(id));
    if (ended) {
      ends += 1;
      await expireLeases();
      const second = customers.startAnother();
      await expect.poll(() => isDone(id), patience).toBe(true);
      await second.close();
    }
    for (const holder of customers.holders.values()) expect(holder.records.get(customerId)).toBe(0);
    const { services } = await erasure(id);
    const counts = services.slice(1).flatMap(({ erasures }) => erasures.map(({ erasedCount }) => erasedCount));
    expect(counts).toEqual(Array.from(customers.holders, () => BigInt(RECORDS)));
    if (!ended) break;
  }
  expect(ends).toBeGreaterThan(9);
});

test("several processes share the erasures, and each service is asked once a round", async () => {
  const others = Array.from({ length: 3 }, () => customers.startAnother());
  const begun = await Promise.all(Array.from({ length: 12 }, () => erase(person())));
  for (const { id } of begun) await expect.poll(() => isDone(id), patience).toBe(true);
  await Promise.all(others.map((one) => one.close()));
  for (const { customerId } of begun) {
    for (const { asked } of customers.holders.values()) {
      expect(asked.filter((request) => request.customerId === customerId)).toHaveLength(2);
    }
  }
});

test("a process that lost its lease writes nothing any more", async () => {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const payments = customers.holders.get("payments");
  if (payments === undefined) throw new Error("no payments");
  let calls = 0;
  payments.before = () => {
    calls += 1;
    return calls === 1 ? opened : undefined;
  };
  const { id } = await erase(person());
  const slow = customers.startAnother();
  await expect.poll(() => calls, patience).toBe(1);
  await expireLeases();
  const quick = customers.startAnother();
  await expect.poll(() => isDone(id), patience).toBe(true);
  const before = await erasure(id);
  open();
  await Promise.all([slow.close(), quick.close()]);
  payments.before = () => {};
  expect(await erasure(id)).toEqual(before);
});
