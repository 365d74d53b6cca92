import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { elsewhere, eur, type PaymentsShop, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

/** A database that counts what is asked of it. */
function counting(db: Database): { readonly db: Database; take(): { statements: number; commits: number } } {
  let [statements, commits] = [0, 0];
  const counted: Database = {
    ...db,
    query: (text, values) => {
      statements += 1;
      return db.query(text, values);
    },
    transaction: (work, options) => {
      commits += 1;
      return db.transaction((tx, opened) => {
        const query: typeof tx.query = (text, values) => {
          statements += 1;
          return tx.query(text, values);
        };
        return work({ ...tx, query }, opened);
      }, options);
    },
  };
  return {
    db: counted,
    take: () => {
      const counts = { statements, commits };
      [statements, commits] = [0, 0];
      return counts;
    },
  };
}

test("a change costs two commits and four or five statements, and a copy of it one commit and two", async () => {
  const { db, take } = counting(shop.deps.db);
  await elsewhere(shop, { db }, async ({ authorize, capture, refund, letGo }) => {
    const [orderId, requestId, captureId] = [newId("ord"), newId("req"), newId("req")];
    const authorized = await authorize({ orderId, requestId });
    expect(take()).toEqual({ statements: 4, commits: 2 });
    const paymentId = authorized.ok ? (authorized.value.payment?.id ?? "") : "";
    await authorize({ orderId, requestId });
    expect(take()).toEqual({ statements: 2, commits: 1 });

    expect(await capture(paymentId, captureId)).toMatchObject({ ok: true });
    expect(take()).toEqual({ statements: 5, commits: 2 });
    await capture(paymentId, captureId);
    expect(take()).toEqual({ statements: 2, commits: 1 });

    expect(await refund(paymentId, 10n)).toMatchObject({ ok: true, value: { payment: { refunded: eur(10n) } } });
    expect(take()).toEqual({ statements: 5, commits: 2 });

    const other = await authorize();
    take();
    await letGo(other.ok ? (other.value.payment?.id ?? "") : "");
    expect(take()).toEqual({ statements: 5, commits: 2 });
  });
});
