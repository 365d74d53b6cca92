import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import { eur, ordersOf, type PaymentsShop, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;
const { authorize, authorized, capture, captured, get, letGo, refund, types } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

test("fifty copies of an authorization set money aside once", async () => {
  const [orderId, requestId] = [newId("ord"), newId("req")];
  const results = await Promise.all(Array.from({ length: 50 }, () => authorize({ orderId, requestId })));
  expect(new Set(results.map((result) => (result.ok ? result.value.payment?.id : result.error.reason))).size).toBe(1);
  expect(results[0]?.ok).toBe(true);
  expect(await types(orderId)).toEqual(["authorization"]);
});

test("fifty copies of a capture and of a refund are booked once", async () => {
  const orderId = newId("ord");
  const paymentId = await authorized({ orderId });
  const before = await shop.books();
  const [captureId, refundId] = [newId("req"), newId("req")];
  const captures = await Promise.all(Array.from({ length: 50 }, () => capture(paymentId, captureId)));
  expect(captures.every(({ ok }) => ok)).toBe(true);
  const refunds = await Promise.all(Array.from({ length: 50 }, () => refund(paymentId, 1_000n, refundId)));
  expect(refunds.every(({ ok }) => ok)).toBe(true);
  expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
  expect((await shop.books()).owed - before.owed).toBe(4_000n);
});

test("an id that comes with another body is refused", async () => {
  const paymentId = await captured();
  const requestId = newId("req");
  await refund(paymentId, 1_000n, requestId);
  expect(await refund(paymentId, 2_000n, requestId)).toMatchObject({
    ok: false,
    error: { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED" },
  });
  expect((await get(paymentId))?.refunded).toEqual(eur(1_000n));
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
