import { describe, expect, it } from "vitest";
import { Return_State } from "#gen/shop/orders/v1/order.ts";
import { newId } from "#mesh/ids.ts";
import { MAX_GIVEN_BACK } from "./domain-saga.ts";
import { paidOrder, returnIdOf, unfetched } from "./testing/paid-order.ts";
import { shopForEachTest } from "./testing/setup.ts";
import { newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

const eur = (minorUnits: bigint) => ({ currencyCode: "EUR", minorUnits });
const listing = { orderId: "", state: Return_State.UNSPECIFIED, pageSize: 0, pageToken: "" };
const settled = (results: readonly PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === "fulfilled" ? "done" : result.reason.reason)).sort();

describe("a return", () => {
  it("takes the goods into stock and gives their price back, once they are here", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 3n, "SKU-2": 1n });
    const announced = await paid.announce({ "SKU-1": 2n });
    const returnId = returnIdOf(announced);
    expect(announced.orderReturn).toMatchObject({
      id: expect.stringMatching(/^ret_/),
      orderId: paid.id,
      state: Return_State.REQUESTED,
      lines: [{ sku: "SKU-1", quantity: 2n }],
      refund: eur(2_000n),
      note: "does not fit",
    });
    expect(test.shop.inventory.available.get("SKU-1")).toBe(7n);

    const received = await paid.receive(returnId);
    expect(received.orderReturn).toMatchObject({ id: returnId, state: Return_State.RECEIVED });
    const order = await paid.atRest();
    expect(order).toMatchObject({ state: "PAID", refunded: 2_000n, promised: 0n, due: [] });
    expect(order.lines.map(({ sku, returnedQuantity }) => [sku, returnedQuantity])).toEqual([
      ["SKU-1", 2n],
      ["SKU-2", 0n],
    ]);
    expect(order.history.slice(-4).map(({ state, note, actor }) => [state, note, actor])).toEqual([
      ["PAID", `return announced: ${returnId}`, order.customerId],
      ["PAID", `goods came back: ${returnId}`, "usr_warehouse"],
      ["PAID", "returned goods in stock", "orders"],
      ["PAID", "return refunded", "orders"],
    ]);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
    expect([...test.shop.payments.refunds.values()]).toEqual([2_000n]);
    const { returns } = await test.shop.orders.listReturns(listing, paid.call);
    expect(returns.map((orderReturn) => unfetched({ orderReturn }))).toEqual([
      { ...unfetched(announced), state: Return_State.REFUNDED, updateTime: returns[0]?.updateTime },
    ]);
  });

  it("is of what was ordered, and of no more than that in all", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 3n });
    await expect(paid.announce({ "SKU-9": 1n })).rejects.toMatchObject({ reason: "UNKNOWN_SKU" });
    await expect(paid.announce({ "SKU-1": 4n })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "QUANTITY_TOO_LARGE",
      metadata: { sku: "SKU-1", returnable: "3" },
    });
    await paid.receive(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    await paid.announce({ "SKU-1": 1n });
    await expect(paid.announce({ "SKU-1": 2n })).rejects.toMatchObject({ metadata: { returnable: "1" } });
    const [both] = await Promise.all([
      Promise.allSettled([paid.announce({ "SKU-1": 1n }), paid.announce({ "SKU-1": 1n })]),
      paid.atRest(),
    ]);
    expect(settled(both)).toEqual(["QUANTITY_TOO_LARGE", "done"]);
  });

  it("gives no more back than what is left of what was paid", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    await paid.refund(1_000n);
    const announced = await paid.announce({ "SKU-1": 1n });
    expect(announced.orderReturn?.refund).toEqual(eur(490n));
    await paid.receive(returnIdOf(announced));
    expect(await paid.atRest()).toMatchObject({ refunded: 1_490n });
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
  });

  it("only takes goods back whose whole price was given back before", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    await paid.refund(1_490n);
    await paid.receive(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    expect(await paid.atRest()).toMatchObject({ refunded: 1_490n });
    const { returns } = await test.shop.orders.listReturns(listing, paid.call);
    expect(returns).toMatchObject([{ state: Return_State.REFUNDED, refund: eur(0n) }]);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
  });

  it("is one of a limited number, with the refunds of the order, and all that are announced can be given back", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 5n });
    // As if so many had been worked off.
    await test.db.query("update orders set dues = $1, dues_settled = $1", [MAX_GIVEN_BACK - 1]);
    const last = await paid.announce({ "SKU-1": 1n });
    const conflict = { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT", metadata: { state: "PAID" } };
    await expect(paid.announce({ "SKU-1": 1n })).rejects.toMatchObject(conflict);
    await expect(paid.refund(1n)).rejects.toMatchObject(conflict);
    await paid.receive(returnIdOf(last));
    expect(await paid.atRest()).toMatchObject({ dues: MAX_GIVEN_BACK, refunded: 1_000n, due: [], promised: 0n });
  });

  it("is refused of an order that is not paid", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const rejected = await test.shop.checkout
      .placeOrder(test.shop.placeRequest(user, { paymentToken: "tok_declined" }), call)
      .catch((error) => error);
    const orderId = rejected.metadata.order_id;
    const create = { requestId: newId("req"), orderId, items: [{ sku: "SKU-1", quantity: 1n }], note: "" };
    const conflict = { reason: "STATE_CONFLICT", metadata: { state: "REJECTED" } };
    await expect(test.shop.orders.createReturn(create, call)).rejects.toMatchObject(conflict);
    const support = test.shop.mesh.call({ user: { roles: ["support"] } });
    const refund = { requestId: newId("req"), orderId, amount: eur(1n), note: "" };
    await expect(test.shop.orders.refundOrder(refund, support)).rejects.toMatchObject(conflict);
  });
});

describe("a request that comes again", () => {
  it("announces one return, at once and when its answer is long forgotten", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 9n });
    const requestId = newId("req");
    const copies = await Promise.all(Array.from({ length: 20 }, () => paid.announce({ "SKU-1": 1n }, { requestId })));
    expect(new Set(copies.map(returnIdOf)).size).toBe(1);
    await test.db.query("delete from once_requests");
    const again = unfetched(await paid.announce({ "SKU-1": 1n }, { requestId }));
    for (const copy of copies) expect(unfetched(copy)).toEqual(again);
    await test.db.query("delete from once_requests");
    await expect(paid.announce({ "SKU-1": 2n }, { requestId })).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
    expect((await test.shop.orders.listReturns(listing, paid.call)).returns).toHaveLength(1);
  });

  it("gives money once, at once and when its answer is long forgotten", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const requestId = newId("req");
    await Promise.all(Array.from({ length: 20 }, () => paid.refund(100n, { requestId })));
    await test.db.query("delete from once_requests");
    await paid.refund(100n, { requestId });
    await test.db.query("delete from once_requests");
    await expect(paid.refund(101n, { requestId })).rejects.toMatchObject({ reason: "REQUEST_ID_REUSED" });
    expect(await paid.atRest()).toMatchObject({ refunded: 100n, dues: 1 });
    expect([...test.shop.payments.refunds.values()]).toEqual([100n]);
  });

  it("receives a return once, whoever asks how often", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 2n });
    const returnId = returnIdOf(await paid.announce({ "SKU-1": 1n }));
    await Promise.all(Array.from({ length: 10 }, () => paid.receive(returnId)));
    expect(await paid.atRest()).toMatchObject({ refunded: 1_000n, dues: 1 });
    expect((await paid.receive(returnId)).orderReturn?.state).toBe(Return_State.REFUNDED);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
  });
});

describe("money without goods", () => {
  it("is given back after the answer, and never more than was paid", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    await paid.announce({ "SKU-1": 1n });
    await expect(paid.refund(491n)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "AMOUNT_TOO_LARGE",
      metadata: { limit_minor_units: "490" },
    });
    const both = await Promise.allSettled([paid.refund(300n), paid.refund(300n)]);
    expect(settled(both)).toEqual(["AMOUNT_TOO_LARGE", "done"]);
    const order = await paid.atRest();
    expect(order).toMatchObject({ state: "PAID", refunded: 300n, promised: 1_000n });
    expect(order.history.slice(-2).map(({ note, actor }) => [note, actor])).toEqual([
      ["refund promised: late", "usr_support"],
      ["money given back", "orders"],
    ]);
    const usd = { currencyCode: "USD", minorUnits: 1n };
    await expect(paid.refund(1n, { amount: usd })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "CURRENCY_MISMATCH",
    });
  });

  it("is given by the staff alone, and goods are received by the warehouse alone", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    const { orders } = test.shop;
    const refused = { code: "PERMISSION_DENIED" };
    const refund = { requestId: newId("req"), orderId: paid.id, amount: eur(1n), note: "" };
    await expect(orders.refundOrder(refund, paid.call)).rejects.toMatchObject(refused);
    const receive = { requestId: newId("req"), returnId: "ret_unknown" };
    await expect(orders.receiveReturn(receive, paid.call)).rejects.toMatchObject(refused);
    await expect(orders.receiveReturn(receive, paid.warehouse)).rejects.toMatchObject({ reason: "RETURN_NOT_FOUND" });
  });
});

describe("somebody else's order", () => {
  it("does not exist for whoever would return it, and its returns are not listed", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 1n });
    await paid.announce({ "SKU-1": 1n });
    const other = test.shop.mesh.call({ user: newBuyer() });
    const create = { requestId: newId("req"), orderId: paid.id, items: [{ sku: "SKU-1", quantity: 1n }], note: "" };
    await expect(test.shop.orders.createReturn(create, other)).rejects.toMatchObject({ reason: "ORDER_NOT_FOUND" });
    const of = { ...listing, orderId: paid.id };
    expect((await test.shop.orders.listReturns(of, other)).returns).toEqual([]);
    expect((await test.shop.orders.listReturns(of, paid.warehouse)).returns).toHaveLength(1);
    expect((await test.shop.orders.listReturns(of, paid.support)).returns).toHaveLength(1);
  });
});

describe("a list of returns", () => {
  it("goes page by page, the newest first, with tokens that are good for their filter alone", async () => {
    const paid = await paidOrder(test.shop, { "SKU-1": 5n });
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) ids.unshift(returnIdOf(await paid.announce({ "SKU-1": 1n })));
    const { orders } = test.shop;
    const first = await orders.listReturns({ ...listing, pageSize: 2 }, paid.call);
    expect(first.returns.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    const second = await orders.listReturns({ ...listing, pageSize: 2, pageToken: first.nextPageToken }, paid.call);
    expect(second).toMatchObject({ returns: [{ id: ids[2] }], nextPageToken: "" });
    const elsewhere = { ...listing, orderId: paid.id, pageToken: first.nextPageToken };
    await expect(orders.listReturns(elsewhere, paid.call)).rejects.toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
    await paid.receive(ids[1] ?? "");
    await paid.atRest();
    const requested = await orders.listReturns({ ...listing, state: Return_State.REQUESTED }, paid.warehouse);
    expect(requested.returns.map(({ id }) => id)).toEqual([ids[0], ids[2]]);
  });
});
