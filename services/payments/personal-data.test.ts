import { afterAll, beforeAll, expect, test } from "vitest";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { findTraces } from "#testing/traces.ts";
import { eur, ordersOf, type PaymentsShop, startPayments } from "./testing/payments.ts";

let shop: PaymentsShop;
beforeAll(async () => {
  shop = await startPayments();
});
afterAll(() => shop?.close());

const { authorized, captured, get, refundNoted } = ordersOf(() => shop);

const customers = () => shop.mesh.mesh("customers");
const call = () => customers().background({ name: "test", timeoutMs: 10_000 });
const erase = async (customerId: string, requestId = newId("era")) =>
  (await customers().client(PaymentService).eraseCustomerData({ requestId, customerId }, call())).erasures;

async function exported(customerId: string) {
  const records: { readonly kind: string; readonly value: unknown }[] = [];
  for await (const { record } of customers().client(PaymentService).exportCustomerData({ customerId }, call())) {
    if (record !== undefined) records.push({ kind: record.kind, value: JSON.parse(record.json) });
  }
  return records;
}

test("a person's payments and refunds are given out, and nobody else's", async () => {
  const customerId = newId("usr");
  const [paymentId] = [await captured({ customerId }), await authorized({ customerId }), await captured()];
  await refundNoted(paymentId, "Ada was not at home");
  const records = await exported(customerId);
  expect(records.map(({ kind }) => kind)).toEqual(["payment", "refund", "payment"]);
  expect(records[0]?.value).toMatchObject({ id: paymentId, state: "CAPTURED", captured: "5000", refunded: "10" });
  expect(records[1]?.value).toMatchObject({ paymentId, amount: "10", note: "Ada was not at home" });
});

test("what was written of refunds is erased, and the books stay as they are", async () => {
  const customerId = newId("usr");
  const paymentId = await captured({ customerId });
  await refundNoted(paymentId, "the Countess of Lovelace was not at home");
  const before = [await shop.books(), await get(paymentId)];
  const kept = expect.stringContaining("books");
  expect(await erase(customerId)).toEqual([{ place: "payments.operations", erasedCount: 1n, leftCount: 0n, kept }]);
  expect([await shop.books(), await get(paymentId)]).toEqual(before);
  expect(await get(paymentId)).toMatchObject({ refunded: eur(10n) });
  expect(await findTraces(shop.database.db, ["Countess of Lovelace"])).toEqual([]);
});
