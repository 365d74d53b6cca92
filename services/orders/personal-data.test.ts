import { expect, test } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { findTraces, textsIn } from "#testing/traces.ts";
import { paidOrder, returnIdOf } from "./testing/paid-order.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { newBuyer } from "./testing/shop.ts";

const suite = shopForEachTest();

const TRACES = ["buyer@example.com", "Ada Buyer", "Street 1", "Berlin", "10115", "not Ada's size", "moved to Rome"];

const customers = () => suite.shop.mesh.mesh("customers");
const call = () => customers().background({ name: "test", timeoutMs: 20_000 });
const client = () => customers().client(OrderService);
const erase = async (customerId: string, requestId = newId("era")) =>
  (await client().eraseCustomerData({ requestId, customerId }, call())).erasures;
const orders = (erasures: Awaited<ReturnType<typeof erase>>) =>
  erasures.find(({ place }) => place === "orders.orders") ?? erasures[0];

async function exported(customerId: string) {
  const records: { readonly kind: string; readonly json: string }[] = [];
  for await (const { record } of client().exportCustomerData({ customerId }, call())) {
    if (record !== undefined) records.push(record);
  }
  return records;
}

/** An order that came to its end, with all that people can write of it. */
async function completed(user = newBuyer()) {
  const paid = await paidOrder(suite.shop, { "SKU-1": 3n }, user);
  const returned = returnIdOf(await paid.announce({ "SKU-1": 1n }, { note: "not Ada's size" }));
  await paid.receive(returned);
  const withdrawn = returnIdOf(await paid.announce({ "SKU-1": 1n }));
  await paid.withdraw(withdrawn, "Ada Buyer keeps it");
  await paid.refund(100n, { note: "moved to Rome" });
  await paid.atRest();
  // Delivery is somebody else's word.
  await suite.db.query("update orders set state = 'COMPLETED' where id = $1", [paid.id]);
  return { user, paid };
}

test("orders and returns are given out whole, and nobody else's", async () => {
  const { user, paid } = await completed();
  await paidOrder(suite.shop, { "SKU-1": 1n });
  const records = await exported(user.id);
  expect(records.map(({ kind }) => kind)).toEqual(["order", "return", "return"]);
  const [order] = records.map(({ json }) => JSON.parse(json));
  expect(order).toMatchObject({ id: paid.id, total: "3490", email: "buyer@example.com", address: { city: "Berlin" } });
  expect(textsIn(records.map(({ json }) => json).join(), TRACES)).toEqual(TRACES);
});

test("of orders at rest nothing personal is left, in histories, notes and stored answers either", async () => {
  const { user, paid } = await completed();
  await suite.shop.orders.retryOrder({ requestId: newId("req"), orderId: paid.id }, paid.support).catch(() => {});
  expect(await findTraces(suite.db, TRACES)).not.toEqual([]);
  const requestId = newId("era");
  const [first, answers] = await erase(user.id, requestId);
  expect(first).toMatchObject({ place: "orders.orders", erasedCount: 1n, leftCount: 0n });
  expect(first?.kept).not.toBe("");
  expect(answers).toMatchObject({ place: "orders.once_requests", leftCount: 0n });
  expect(await findTraces(suite.db, TRACES)).toEqual([]);
  const left = orderOf(await suite.shop.orders.getOrder({ orderId: paid.id }, paid.support));
  expect(left).toMatchObject({ email: "", address: { recipient: "", lines: [], countryCode: "DE" } });
  expect(left).toMatchObject({ total: { minorUnits: 3_490n }, refunded: { minorUnits: 1_100n } });
  expect(left.history.map(({ note }) => note)).toContain("refund promised");
  expect(await erase(user.id, requestId)).toEqual([first, answers]);
});

test("an order under way keeps its address until it rests, and a rejected one does not", async () => {
  const user = newBuyer();
  const paid = await paidOrder(suite.shop, { "SKU-1": 1n }, user);
  suite.shop.fillCart(user.id, { "SKU-2": 1n });
  const declined = suite.shop.placeRequest(user, { paymentToken: "tok_declined" });
  await expect(suite.shop.checkout.placeOrder(declined, paid.call)).rejects.toMatchObject({
    reason: "PAYMENT_DECLINED",
  });
  const requestId = newId("era");
  expect(orders(await erase(user.id, requestId))).toMatchObject({ erasedCount: 1n, leftCount: 1n });
  expect((await paid.atRest()).address.city).toBe("Berlin");
  await paid.cancel();
  await paid.atRest();
  expect(orders(await erase(user.id, requestId))).toMatchObject({ erasedCount: 2n, leftCount: 0n });
  expect(await findTraces(suite.db, TRACES)).toEqual([]);
});

test("what comes to an order later is erased when it is asked again", async () => {
  const { user, paid } = await completed();
  const requestId = newId("era");
  await erase(user.id, requestId);
  await paid.refund(100n, { note: "moved to Rome" });
  await paid.atRest();
  expect(await findTraces(suite.db, TRACES)).toContain("order_events: moved to Rome");
  expect(orders(await erase(user.id, requestId))).toMatchObject({ erasedCount: 2n, leftCount: 0n });
  expect(await findTraces(suite.db, TRACES)).toEqual([]);
});

test("erasures and refunds at once leave books that fit, and nothing personal when asked again", async () => {
  const { user, paid } = await completed();
  const requestId = newId("era");
  await Promise.all([
    ...Array.from({ length: 4 }, () => paid.refund(10n, { note: "moved to Rome" })),
    ...Array.from({ length: 4 }, () => erase(user.id, requestId)),
  ]);
  const order = await paid.atRest();
  expect(order.refunded).toBe(1_140n);
  expect(orders(await erase(user.id, requestId))?.leftCount).toBe(0n);
  expect(await findTraces(suite.db, TRACES)).toEqual([]);
});

test("a copy of the request that made an erased order is refused, for nothing tells it apart any more", async () => {
  const user = newBuyer();
  suite.shop.fillCart(user.id, { "SKU-1": 1n });
  const as = suite.shop.mesh.call({ user });
  const request = suite.shop.placeRequest(user);
  const { id } = orderOf(await suite.shop.checkout.placeOrder(request, as));
  await suite.shop.until(id, ({ step }) => step === "done");
  await suite.shop.orders.cancelOrder({ requestId: newId("req"), orderId: id, note: "" }, as);
  await suite.shop.until(id, ({ state }) => state === "CANCELLED");
  await erase(user.id);
  await expect(suite.shop.checkout.placeOrder(request, as)).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
});

test("spending is what was paid and not given back, exactly", async () => {
  const user = newBuyer();
  const spent = async () => client().getCustomerSpending({ customerId: user.id }, call());
  expect(await spent()).toEqual({ spent: [], orderCount: 0n });
  await completed(user);
  const second = await paidOrder(suite.shop, { "SKU-2": 1n }, user);
  const cancelled = await paidOrder(suite.shop, { "SKU-3": 1n }, user);
  await cancelled.cancel();
  await cancelled.atRest();
  await second.atRest();
  const eur = { currencyCode: "EUR", minorUnits: 3_490n - 1_100n + 1_490n };
  expect(await spent()).toEqual({ spent: [eur], orderCount: 2n });
  const list = { customerId: user.id, state: Order_State.UNSPECIFIED, pageSize: 2, pageToken: "" };
  const { orders: recent, nextPageToken } = await client().listOrders(list, call());
  expect(recent.map(({ id }) => id)).toEqual([cancelled.id, second.id]);
  expect(nextPageToken).not.toBe("");
});

test("nobody but the service customers may ask for any of it", async () => {
  const request = { requestId: newId("era"), customerId: newId("usr") };
  const admin = suite.shop.mesh.call({ user: { roles: ["admin"] } });
  const refused = { ok: false, error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" } };
  expect(await suite.shop.orders.try.eraseCustomerData(request, admin)).toMatchObject(refused);
  expect(await suite.shop.orders.try.getCustomerSpending(request, admin)).toMatchObject(refused);
});
