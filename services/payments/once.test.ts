import { afterAll, beforeAll, expect, test } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { person, testOnce, workload } from "#testing/once.ts";
import { eur, ordersOf, type PaymentsShop, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorized, capture, captured, get, letGo, list, refund, refundNoted, types } = ordersOf(() => shop);

/** How often the books were compared: each time, one page of the gateway's list is read. */
let rounds = 0;

beforeAll(async () => {
  shop = await startPayments();
  const { listTransactions } = shop.gateway;
  shop.gateway.listTransactions = (after) => {
    rounds += 1;
    return listTransactions(after);
  };
});

afterAll(() => shop.close());

const orders = () => [workload("orders")] as const;

/** What was written of the refunds of a payment. */
const notes = async (paymentId: string) => {
  const text = "select note from operations where payment_id = $1 and kind = 'REFUND'";
  return (await shop.database.db.query<{ note: string }>(text, [paymentId])).map(({ note }) => note);
};

/** What the payment gateway did for these orders. */
const done =
  (...orderIds: readonly string[]) =>
  () =>
    Promise.all(orderIds.map(types));

const statesOf = async (orderId: string) => (await list(orderId)).payments.map(({ state }) => state);

testOnce(PaymentService, () => shop.mesh, {
  authorizePayment: {
    callers: orders,
    prepare: async (_, requestId) => {
      const [orderId, another] = [newId("ord"), newId("ord")];
      const request = { requestId, orderId, customerId: "usr_payer", amount: eur(5_000n), paymentToken: "tok_visa" };
      return {
        request,
        other: () => ({ ...request, orderId: another }),
        effect: done(orderId, another),
        once: [["authorization"], []],
      };
    },
  },
  settleAuthorization: {
    callers: orders,
    prepare: async (_, requestId) => {
      const [orderId, another] = [newId("ord"), newId("ord")];
      const request = { requestId, orderId, customerId: "usr_payer", amount: eur(5_000n) };
      return {
        request,
        other: () => ({ ...request, orderId: another }),
        effect: () => Promise.all([orderId, another].map(statesOf)),
        once: [[Payment_State.DECLINED], []],
      };
    },
  },
  capturePayment: {
    callers: orders,
    prepare: async (_, requestId) => {
      const [orderId, another] = [newId("ord"), newId("ord")];
      const [paymentId, anotherId] = [await authorized({ orderId }), await authorized({ orderId: another })];
      const request = { requestId, paymentId, amount: undefined };
      return {
        request,
        other: () => ({ ...request, paymentId: anotherId }),
        effect: done(orderId, another),
        once: [["authorization", "capture"], ["authorization"]],
      };
    },
  },
  voidPayment: {
    callers: orders,
    prepare: async (_, requestId) => {
      const [orderId, another] = [newId("ord"), newId("ord")];
      const [paymentId, anotherId] = [await authorized({ orderId }), await authorized({ orderId: another })];
      const request = { requestId, paymentId };
      return {
        request,
        other: () => ({ ...request, paymentId: anotherId }),
        effect: done(orderId, another),
        once: [["authorization", "void"], ["authorization"]],
      };
    },
  },
  createRefund: {
    callers: orders,
    prepare: async (_, requestId) => {
      const orderId = newId("ord");
      const paymentId = await captured({ orderId });
      const before = await shop.books();
      const request = { requestId, paymentId, amount: eur(10n), note: "" };
      return {
        request,
        other: () => ({ ...request, amount: eur(11n) }),
        effect: async () => ({
          done: await types(orderId),
          refunded: (await get(paymentId))?.refunded,
          owed: (await shop.books()).owed - before.owed,
        }),
        once: { done: ["authorization", "capture", "refund"], refunded: eur(10n), owed: -10n },
      };
    },
  },
  reconcilePayments: {
    callers: () => [workload("operator"), person("support")],
    prepare: async (_, requestId) => ({
      request: { requestId },
      effect: async () => rounds,
      once: rounds + 1,
    }),
  },
  eraseCustomerData: {
    callers: () => [workload("customers")],
    prepare: async (_, requestId) => {
      const [customerId, another] = [newId("usr"), newId("usr")];
      const ids = [await captured({ customerId }), await captured({ customerId: another })];
      for (const paymentId of ids) await refundNoted(paymentId, "for Ada");
      const request = { requestId, customerId };
      return {
        request,
        other: () => ({ ...request, customerId: another }),
        effect: () => Promise.all(ids.map(notes)),
        once: [[""], ["for Ada"]],
      };
    },
  },
});

test("a capture and a void at once end in exactly one of them", async () => {
  for (let round = 0; round < 8; round += 1) {
    const orderId = newId("ord");
    const paymentId = await authorized({ orderId });
    const [taken, released] = await Promise.all([capture(paymentId), letGo(paymentId)]);
    expect([taken.ok, released.ok].filter(Boolean)).toHaveLength(1);
    expect(await types(orderId)).toEqual(["authorization", taken.ok ? "capture" : "void"]);
  }
});

test("refunds at once give back no more than was captured", async () => {
  const orderId = newId("ord");
  const paymentId = await captured({ orderId });
  // Those that find another under way for too long are told to ask again; none may give back too much.
  await Promise.all(Array.from({ length: 8 }, () => refund(paymentId, 2_000n)));
  const back = (await shop.movements(orderId)).filter(({ type }) => type === "refund");
  expect(back.length).toBeGreaterThan(0);
  expect(back.length).toBeLessThanOrEqual(2);
  expect((await get(paymentId))?.refunded).toEqual(eur(2_000n * BigInt(back.length)));
});
