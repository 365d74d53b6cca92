import { describe, expect, it } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { newId } from "#mesh/ids.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { address, answerAfterMs, gate, isAtRest, newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

function callsOf(method: string): number {
  return test.shop.interference.calls.filter((call) => call === method).length;
}

describe("a request that comes again", () => {
  it("gets the same order, also when the cart is cleared and the price is another", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user);
    const placed = orderOf(await test.shop.checkout.placeOrder(request, call));
    await test.shop.until(placed.id, isAtRest);
    test.shop.catalog.variants.set("SKU-1", { price: 5_000n });
    test.shop.interference.calls.length = 0;

    const again = orderOf(await test.shop.checkout.placeOrder(request, call));
    expect(again).toMatchObject({ id: placed.id, total: placed.total, lines: placed.lines, state: Order_State.PAID });
    // The buyer of the first one is written to some time.
    const calls = test.shop.interference.calls.filter((method) => !method.startsWith("NotificationService."));
    expect(calls).toEqual([]);
  });

  it("gets the same error, with all that it told", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    test.shop.inventory.available.set("SKU-1", 0n);
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user);
    const first = await test.shop.checkout.placeOrder(request, call).catch((error) => error);
    test.shop.inventory.available.set("SKU-1", 10n);
    const second = await test.shop.checkout.placeOrder(request, call).catch((error) => error);
    expect(first.metadata).toEqual({ order_id: expect.any(String), "available.SKU-1": "0" });
    expect(pick(second)).toEqual(pick(first));
    expect(callsOf("InventoryService.createReservation")).toBe(1);
  });

  it("gets the same decline, with its code", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user, { paymentToken: "tok_declined" });
    const first = await test.shop.checkout.placeOrder(request, call).catch((error) => error);
    const second = await test.shop.checkout.placeOrder(request, call).catch((error) => error);
    expect(first.metadata).toEqual({ order_id: expect.any(String), decline_code: "card_declined" });
    expect(pick(second)).toEqual(pick(first));
    expect(callsOf("PaymentService.authorizePayment")).toBe(1);
  });

  it.each([
    ["address", { address: { ...address, city: "Hamburg" } }],
    ["payment token", { paymentToken: "tok_other" }],
    ["total", { expectedTotal: { currencyCode: "EUR", minorUnits: 1n } }],
  ])("is refused with another %s", async (_what, changes) => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user);
    await test.shop.checkout.placeOrder(request, call);
    await expect(test.shop.checkout.placeOrder({ ...request, ...changes }, call)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "REQUEST_ID_REUSED",
      metadata: { request_id: request.requestId },
    });
    expect(callsOf("PaymentService.authorizePayment")).toBe(1);
  });

  it("is another request when another buyer makes it", async () => {
    const requestId = newId("req");
    const ids = [];
    for (const user of [newBuyer(), newBuyer()]) {
      test.shop.fillCart(user.id, { "SKU-1": 1n });
      const request = test.shop.placeRequest(user, { requestId });
      ids.push(orderOf(await test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user }))).id);
    }
    expect(new Set(ids).size).toBe(2);
  });

  it("does not keep the payment token anywhere", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const request = test.shop.placeRequest(user, { paymentToken: "tok_very_secret" });
    const placed = orderOf(await test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user })));
    await test.shop.until(placed.id, isAtRest);
    const rows = await test.db.query(
      `select o::text || coalesce((select string_agg(e::text, '') from order_events e), '') as text from orders o`,
    );
    expect(rows).toHaveLength(1);
    expect(JSON.stringify([rows, test.shop.mesh.logs])).not.toContain("tok_very_secret");
  });
});

describe("fifty copies at once", () => {
  it("make one order, one hold and one authorization, and all get that order", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const request = test.shop.placeRequest(user);
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user }))),
    );
    const ids = new Set(answers.map((answer) => orderOf(answer).id));
    expect(ids.size).toBe(1);
    const states = new Set(answers.map((answer) => orderOf(answer).state));
    expect(states.has(Order_State.PENDING)).toBe(false);
    const [id = ""] = ids;
    await test.shop.until(id, isAtRest);
    expect(await test.db.query("select id from orders")).toEqual([{ id }]);
    expect(callsOf("InventoryService.createReservation")).toBe(1);
    expect(callsOf("PaymentService.authorizePayment")).toBe(1);
    expect(callsOf("PaymentService.capturePayment")).toBe(1);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
  });

  it("get the same error when stock is short", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    test.shop.inventory.available.set("SKU-1", 0n);
    const request = test.shop.placeRequest(user);
    const failed = await Promise.all(
      Array.from({ length: 50 }, () =>
        test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user })).catch((error) => error),
      ),
    );
    expect(new Set(failed.map((error) => JSON.stringify(pick(error)))).size).toBe(1);
    expect(failed[0]).toMatchObject({ reason: "OUT_OF_STOCK" });
    expect(callsOf("InventoryService.createReservation")).toBe(1);
  });

  it("do not fail when the first one has cleared the cart while they read it", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const late = gate();
    let reads = 0;
    test.shop.interference.before = async (method) => {
      if (method !== "CartService.getCart") return;
      reads += 1;
      if (reads === 2) await late.opened;
    };
    const request = test.shop.placeRequest(user);
    const [first, second] = [1, 2].map(() => test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user })));
    const placed = orderOf(await Promise.race([first, second].map((answer) => answer ?? Promise.reject())));
    await test.shop.until(placed.id, isAtRest);
    late.open();
    const ids = (await Promise.all([first, second])).map((answer) => answer && orderOf(answer).id);
    expect(ids).toEqual([placed.id, placed.id]);
  });
});

describe("copies of an order that is not decided in time", () => {
  const slow = shopForEachTest(answerAfterMs(300));

  it("get it PENDING", async () => {
    const user = newBuyer();
    slow.shop.fillCart(user.id, { "SKU-1": 1n });
    const held = gate();
    slow.shop.interference.before = (method) => (method.endsWith("authorizePayment") ? held.opened : undefined);
    const request = slow.shop.placeRequest(user);
    const copies = await Promise.all(
      Array.from({ length: 5 }, () => slow.shop.checkout.placeOrder(request, slow.shop.mesh.call({ user }))),
    );
    expect(copies.map((copy) => orderOf(copy).state)).toEqual(Array(5).fill(Order_State.PENDING));
    held.open();
    expect(await slow.shop.until(orderOf(copies[0] ?? { order: undefined }).id, isAtRest)).toMatchObject({
      state: "PAID",
    });
  });
});

/** What a caller can tell two failures apart by. */
function pick({ code, reason, metadata }: { code: string; reason: string; metadata: object }) {
  return { code, reason, metadata };
}
