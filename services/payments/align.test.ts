import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { Discrepancy_State } from "#gen/shop/payments/v1/reconciliation.ts";
import { align } from "./align.ts";
import type { Deps } from "./deps.ts";
import * as store from "./store.ts";
import { gate, ordersOf, type PaymentsShop, passOn, startPayments } from "./testing/payments.ts";
import { behindOurBack, operatorOf } from "./testing/reconciling.ts";

let shop: PaymentsShop;
const { authorized, capture, get } = ordersOf(() => shop);
const { compare, discrepanciesOf } = operatorOf(() => shop);
const there = behindOurBack(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

beforeEach(() => {
  shop.lose = passOn;
});

test("an operation that begins and ends while its payment is looked at is no difference", async () => {
  const paymentId = await authorized();
  const found = await store.loadPayment(shop.deps.db, paymentId);
  const [isTaken, mayAnswer] = [gate(), gate()];
  let capturing: Promise<unknown> | undefined;
  shop.lose = async (answered) => {
    await answered;
    isTaken.open();
    await mayAnswer.opened;
    return answered;
  };
  const { db, gateway } = shop.deps;
  const deps: Deps = {
    ...shop.deps,
    // It begins once the payment has been read, and takes the money before the record is read.
    gateway: {
      ...gateway,
      find: async (reference) => {
        capturing ??= capture(paymentId);
        await isTaken.opened;
        return gateway.find(reference);
      },
    },
    // It is noted once the payment has been read again, and before its operation is.
    db: {
      ...db,
      query: async (text, values) => {
        if (capturing !== undefined && text.includes("from operations where id")) {
          mayAnswer.open();
          await capturing;
        }
        return db.query(text, values);
      },
    },
  };
  const { end, payment } = await align(deps, found);
  expect({ end, state: payment.state }).toEqual({ end: "agree", state: "CAPTURED" });
  expect(await discrepanciesOf(paymentId)).toEqual([]);
});

test("a difference is looked at until it is gone, whoever came upon it", async () => {
  const paymentId = await authorized();
  const { authorizationReference = "" } = await store.loadPayment(shop.deps.db, paymentId);
  await there.capture(authorizationReference);
  // As a webhook does, before the list of transactions has told of it.
  expect((await align(shop.deps, await store.loadPayment(shop.deps.db, paymentId))).end).toBe("differ");
  expect(await discrepanciesOf(paymentId)).toMatchObject([{ state: Discrepancy_State.OPEN }]);
  await shop.database.db.query(
    "update payments set state = 'CAPTURED', captured = amount, update_time = $2 where id = $1",
    [paymentId, shop.clock.now()],
  );
  expect((await get(paymentId))?.state).toBe(Payment_State.CAPTURED);
  await compare();
  expect(await discrepanciesOf(paymentId)).toMatchObject([{ state: Discrepancy_State.RESOLVED }]);
});
