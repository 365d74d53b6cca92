import { afterAll, beforeAll, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { elsewhere, eur, ordersOf, type PaymentsShop, startPayments } from "./testing/payments.ts";
import { operatorOf } from "./testing/reconciling.ts";

let shop: PaymentsShop;
const { get, types } = ordersOf(() => shop);
const { compare } = operatorOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

/** Ends every connection to the database, as its restart would. */
async function endConnections(): Promise<void> {
  const session = await shop.database.db.session();
  await session.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
  );
  await session.close();
}

/** Where connections end, the `at`-th time that this place is passed. */
type Place = "before a commit" | "after a commit" | "after the gateway's answer";

/** A database, and a gateway, at whose places connections end. */
function losing(): { readonly db: Database; endAt(place: Place, at: number): void; readonly count: () => number } {
  const { db } = shop.deps;
  let [place, left, count]: [Place | undefined, number, number] = [undefined, 0, 0];
  const pass = async (here: Place): Promise<void> => {
    if (here !== place) return;
    left -= 1;
    if (left !== 0) return;
    count += 1;
    await endConnections();
  };
  shop.lose = async (answered) => {
    const answer = await answered;
    await pass("after the gateway's answer");
    return answer;
  };
  const losingDb: Database = {
    ...db,
    transaction: async (work, options) => {
      const result = await db.transaction(async (tx, opened) => {
        const value = await work(tx, opened);
        await pass("before a commit");
        return value;
      }, options);
      await pass("after a commit");
      return result;
    },
  };
  return {
    db: losingDb,
    endAt: (here, at) => {
      [place, left] = [here, at];
    },
    count: () => count,
  };
}

type Tried = { readonly ok: true } | { readonly ok: false; readonly error: { readonly code: string } };

/** Asks until it is done, as orders does; in between nothing may be said but that it is not known. */
async function untilDone<T extends Tried>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; tries < 5; tries += 1) {
    const result = await ask();
    if (result.ok) return result;
    expect(result.error.code).toBe("UNAVAILABLE");
  }
  throw new Error("it did not come to an end");
}

/** An authorization, a capture and a refund ask the gateway once each, and commit twice each. */
const places = [
  ...[1, 2, 3, 4, 5, 6].map((at) => ["before a commit", at] as const),
  ...[1, 2, 3, 4, 5, 6].map((at) => ["after a commit", at] as const),
  ...[1, 2, 3].map((at) => ["after the gateway's answer", at] as const),
];

test("connections to the database that end anywhere change nothing of what is done, and nobody is told a wrong thing", async () => {
  const { db, endAt, count } = losing();
  await elsewhere(shop, { db }, async (orders) => {
    for (const [place, at] of places) {
      const [orderId, authorizeId, captureId, refundId] = [newId("ord"), newId("req"), newId("req"), newId("req")];
      const before = count();
      endAt(place, at);
      const authorized = await untilDone(() => orders.authorize({ orderId, requestId: authorizeId }));
      const paymentId = authorized.ok ? (authorized.value.payment?.id ?? "") : "";
      await untilDone(() => orders.capture(paymentId, captureId));
      await untilDone(() => orders.refund(paymentId, 1_000n, refundId));
      expect(count() - before, `they ended ${place}, the ${at}. time`).toBe(1);
      expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
      expect(await get(paymentId)).toMatchObject({ state: Payment_State.CAPTURED, refunded: eur(1_000n) });
    }
  });
  const { openCount, underWayCount, totals } = await compare();
  expect({ openCount, underWayCount }).toEqual({ openCount: 0, underWayCount: 0 });
  const kept = BigInt(places.length) * 4_000n;
  expect(totals).toMatchObject([{ paymentsMinorUnits: kept, ledgerMinorUnits: kept, gatewayMinorUnits: kept }]);
});
