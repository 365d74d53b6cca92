import { describe, expect, it } from "vitest";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { gate, isAtRest, newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

const support = { id: "usr_support", roles: ["support"] };

/** Has a buyer place an order that ends well. */
async function buy(user: { readonly id: string }): Promise<Order> {
  test.shop.fillCart(user.id, { "SKU-1": 1n });
  const placed = orderOf(
    await test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
  );
  await test.shop.until(placed.id, isAtRest);
  return placed;
}

const list = (call: Call, changes: Partial<{ customerId: string; state: Order_State; pageSize: number }> = {}) =>
  test.shop.orders.listOrders(
    { customerId: "", state: Order_State.UNSPECIFIED, pageSize: 0, pageToken: "", ...changes },
    call,
  );

describe("one order", () => {
  it("is shown with its history to the buyer, to support and to the operator", async () => {
    const user = newBuyer();
    const { id } = await buy(user);
    const { mesh, orders } = test.shop;
    const shown = orderOf(await orders.getOrder({ orderId: id }, mesh.call({ user })));
    expect(shown).toMatchObject({ id, customerId: user.id, state: Order_State.PAID });
    expect(shown.history).toHaveLength(7);
    expect(orderOf(await orders.getOrder({ orderId: id }, mesh.call({ user: support })))).toEqual(shown);
    const operator = mesh.mesh("operator").client(OrderService);
    expect(orderOf(await operator.getOrder({ orderId: id }, mesh.call()))).toEqual(shown);
  });

  it("does not exist for anybody else, who cannot tell it from one that never was", async () => {
    const { id } = await buy(newBuyer());
    const { orders, mesh } = test.shop;
    const call = mesh.call({ user: newBuyer() });
    const failures = await Promise.all(
      [id, "ord_unknown"].map((orderId) => orders.getOrder({ orderId }, call).catch((error) => error)),
    );
    expect(failures[0]).toMatchObject({ code: "NOT_FOUND", reason: "ORDER_NOT_FOUND", metadata: {} });
    expect(failures[0].message).toBe(failures[1].message);
    await expect(firstOf(orders.watchOrder({ orderId: id, resumeToken: "" }, call))).rejects.toMatchObject({
      reason: "ORDER_NOT_FOUND",
    });
    const cancelRequest = { requestId: "cancel-request", orderId: id, note: "" };
    await expect(orders.cancelOrder(cancelRequest, call)).rejects.toMatchObject({ reason: "ORDER_NOT_FOUND" });
  });
});

describe("a list of orders", () => {
  it("has the caller's own, newest first, page by page", async () => {
    const user = newBuyer();
    const ids = [];
    for (let n = 0; n < 3; n += 1) ids.unshift((await buy(user)).id);
    await buy(newBuyer());
    const call = test.shop.mesh.call({ user });
    const first = await list(call, { pageSize: 2 });
    expect(first.orders.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(first.orders[0]?.history).toEqual([]);
    const request = { customerId: "", state: Order_State.UNSPECIFIED, pageSize: 2, pageToken: first.nextPageToken };
    const second = await test.shop.orders.listOrders(request, call);
    expect(second).toMatchObject({ orders: [{ id: ids[2] }], nextPageToken: "" });

    const otherFilter = { ...request, state: Order_State.PAID };
    await expect(test.shop.orders.listOrders(otherFilter, call)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "INVALID_PAGE_TOKEN",
    });
  });

  it("has somebody else's for support alone", async () => {
    const user = newBuyer();
    const { id } = await buy(user);
    const { mesh } = test.shop;
    const other = { customerId: user.id };
    expect((await list(mesh.call({ user: support }), other)).orders.map((order) => order.id)).toEqual([id]);
    expect((await list(mesh.call({ user: newBuyer() }), other)).orders).toEqual([]);
    expect((await list(mesh.call({ user: support }))).orders).toEqual([]);
  });

  it("keeps to a state", async () => {
    const user = newBuyer();
    await buy(user);
    const call = test.shop.mesh.call({ user });
    expect((await list(call, { state: Order_State.PAID })).orders).toHaveLength(1);
    expect((await list(call, { state: Order_State.REJECTED })).orders).toEqual([]);
  });
});

describe("a watch", () => {
  it("tells every change in order, and ends with the final state", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const held = gate();
    const reached = gate();
    test.shop.interference.before = async (method) => {
      if (!method.endsWith("createReservation")) return;
      reached.open();
      await held.opened;
    };
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user, { paymentToken: "tok_declined" });
    const placing = test.shop.checkout.placeOrder(request, call).catch((error) => error);
    await reached.opened;
    const [{ id: orderId } = { id: "" }] = (await list(call)).orders;

    const seen: Order[] = [];
    for await (const answer of test.shop.orders.watchOrder({ orderId, resumeToken: "" }, call)) {
      seen.push(orderOf(answer));
      held.open();
    }
    expect(await placing).toMatchObject({ reason: "PAYMENT_DECLINED" });
    expect(seen.map(({ state, history }) => [state, history.at(-1)?.note])).toEqual([
      [Order_State.PENDING, "placed"],
      [Order_State.PENDING, "stock held"],
      [Order_State.PENDING, "payment declined"],
      [Order_State.REJECTED, "stock given back"],
    ]);
  });

  it("sees what another process does", async () => {
    const user = newBuyer();
    const { id } = await buy(user);
    const call = test.shop.mesh.call({ user });
    const watched = test.shop.orders.watchOrder({ orderId: id, resumeToken: "" }, call)[Symbol.asyncIterator]();
    await watched.next();
    await test.db.query(
      `with changed as (update orders set state = 'SHIPPED', version = version + 1 where id = $1 returning version)
       insert into order_events select $1, version, now(), 'SHIPPED', 'done', 'shipping', 'sent' from changed`,
      [id],
    );
    const next = await watched.next();
    expect(next.value).toMatchObject({ order: { id, state: Order_State.SHIPPED } });
    await watched.return?.();
  });
});

async function firstOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of items) return item;
  return undefined;
}
