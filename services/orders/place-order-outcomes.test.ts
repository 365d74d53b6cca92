import { describe, expect, it } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { answerAfterMs, gate, isAtRest, newBuyer } from "./testing/shop.ts";

/** An unanswered call, as a payment gateway that fails leaves it. */
const outcomeUnknown = () => {
  throw meshFailure("SERVICE_UNAVAILABLE", "no answer");
};

describe("rejecting", () => {
  const test = shopForEachTest();

  it("tells what is left when stock is short, and charges nothing", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 2n, "SKU-2": 1n });
    test.shop.inventory.available.set("SKU-1", 1n);
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user, { expectedTotal: { currencyCode: "EUR", minorUnits: 3_490n } });
    const failed = await test.shop.checkout.placeOrder(request, call).catch((error) => error);
    expect(failed).toMatchObject({ code: "FAILED_PRECONDITION", reason: "OUT_OF_STOCK" });
    expect(failed.metadata).toEqual({ order_id: expect.stringMatching(/^ord_/), "available.SKU-1": "1" });
    const { order } = await test.shop.orders.getOrder({ orderId: failed.metadata.order_id }, call);
    expect(order).toMatchObject({ state: Order_State.REJECTED, rejection: { reason: "OUT_OF_STOCK" }, paymentId: "" });
    expect(test.shop.inventory.reservations.size).toBe(0);
    expect(test.shop.payments.payments.size).toBe(0);
  });

  it("calls a SKU out of stock that nobody ever stocked", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    test.shop.inventory.available.delete("SKU-1");
    const refusal = { reason: "OUT_OF_STOCK", metadata: { "available.SKU-1": "0" } };
    await expect(
      test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
    ).rejects.toMatchObject(refusal);
  });

  it("gives the hold back when the payment is declined", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user, { paymentToken: "tok_declined" });
    const failed = await test.shop.checkout.placeOrder(request, call).catch((error) => error);
    expect(failed).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "PAYMENT_DECLINED",
      metadata: { decline_code: "card_declined" },
    });
    const { order } = await test.shop.orders.getOrder({ orderId: failed.metadata.order_id }, call);
    expect(order).toMatchObject({ state: Order_State.REJECTED, rejection: { reason: "PAYMENT_DECLINED" } });
    expect(test.shop.inventory.reservations.get("res_1")?.state).toBe(Reservation_State.RELEASED);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
    expect(test.shop.interference.calls).toHaveLength(5);
  });
});

describe("a payment of unknown outcome", () => {
  const test = shopForEachTest();

  it("is asked for again under the same key when its outcome is unknown", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    let lost = 0;
    // The first answers are lost after the payment came about: as many as the mesh itself retries, and more.
    test.shop.interference.after = (method) => {
      if (method !== "PaymentService.authorizePayment" || lost >= 5) return;
      lost += 1;
      outcomeUnknown();
    };
    const placed = orderOf(
      await test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
    );
    expect([Order_State.CONFIRMED, Order_State.PAID]).toContain(placed.state);
    expect(lost).toBe(5);
    expect(test.shop.payments.payments.size).toBe(1);
  });
});

describe("a payment that takes longer than the caller has time", () => {
  const slow = shopForEachTest(answerAfterMs(300));

  it("leaves the order PENDING at the caller's deadline, and confirms it later", async () => {
    const user = newBuyer();
    slow.shop.fillCart(user.id, { "SKU-1": 1n });
    const held = gate();
    slow.shop.interference.before = (method) => (method.endsWith("authorizePayment") ? held.opened : undefined);
    const request = slow.shop.placeRequest(user);
    const answer = await slow.shop.checkout.placeOrder(request, slow.shop.mesh.call({ user }));
    const pending = orderOf(answer);
    expect(pending.state).toBe(Order_State.PENDING);
    const call = slow.shop.mesh.call({ user });
    expect(orderOf(await slow.shop.orders.getOrder({ orderId: pending.id }, call)).state).toBe(Order_State.PENDING);

    held.open();
    await slow.shop.until(pending.id, isAtRest);
    expect(orderOf(await slow.shop.orders.getOrder({ orderId: pending.id }, call)).state).toBe(Order_State.PAID);
    const replay = orderOf(await slow.shop.checkout.placeOrder(request, call));
    expect(replay).toMatchObject({ id: pending.id, state: Order_State.PAID });
    expect(slow.shop.payments.payments.size).toBe(1);
  });
});

describe("a hold that cannot be given back yet", () => {
  // As long as a call of a test has: on a busy machine the decline itself can take seconds.
  const slow = shopForEachTest(answerAfterMs(8_000));

  it("answers with the decline in time though the hold cannot be given back yet, and gives it back later", async () => {
    const user = newBuyer();
    slow.shop.fillCart(user.id, { "SKU-1": 1n });
    const held = gate();
    slow.shop.interference.before = (method) => (method.endsWith("releaseReservation") ? held.opened : undefined);
    const call = slow.shop.mesh.call({ user });
    const request = slow.shop.placeRequest(user, { paymentToken: "tok_declined" });
    const failed = await slow.shop.checkout.placeOrder(request, call).catch((error) => error);
    expect(failed).toMatchObject({ reason: "PAYMENT_DECLINED" });
    held.open();
    const orderId: string = failed.metadata.order_id;
    const rejected = await slow.shop.until(orderId, isAtRest);
    expect(rejected.rejection?.reason).toBe("PAYMENT_DECLINED");
    expect(slow.shop.inventory.available.get("SKU-1")).toBe(10n);
  });
});
