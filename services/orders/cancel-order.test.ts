import { describe, expect, it } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { gate, isAtRest, newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

/** Starts an order, and stops at a call `before` or `after` it took effect, until the test goes on. */
async function stopAt(phase: "before" | "after", method: string) {
  const user = newBuyer();
  test.shop.fillCart(user.id, { "SKU-1": 1n });
  const reached = gate();
  const held = gate();
  test.shop.interference[phase] = async (called) => {
    if (called !== method) return;
    reached.open();
    await held.opened;
  };
  const call = test.shop.mesh.call({ user });
  const placing = test.shop.checkout.placeOrder(test.shop.placeRequest(user), call);
  await reached.opened;
  const listing = { customerId: "", state: Order_State.UNSPECIFIED, pageSize: 0, pageToken: "" };
  const [order] = (await test.shop.orders.listOrders(listing, call)).orders;
  if (order === undefined) throw new Error("no order");
  return { call, placing, orderId: order.id, goOn: held.open };
}

const request = (orderId: string) => ({ requestId: newId("req"), orderId, note: "changed my mind" });

describe("cancelling", () => {
  it.each([
    ["while stock is being held", "before", "InventoryService.createReservation"],
    ["while the payment is being authorized", "before", "PaymentService.authorizePayment"],
    ["before the answer on the payment is there", "after", "PaymentService.authorizePayment"],
  ] as const)("lets go of what is under way: %s", async (_when, phase, method) => {
    const { call, placing, orderId, goOn } = await stopAt(phase, method);
    const cancelled = orderOf(await test.shop.orders.cancelOrder(request(orderId), call));
    expect(cancelled.state).toBe(Order_State.CANCELLING);
    expect(cancelled.history.at(-1)).toMatchObject({
      actor: cancelled.customerId,
      note: "cancellation asked for: changed my mind",
    });
    expect([Order_State.CANCELLING, Order_State.CANCELLED]).toContain(orderOf(await placing).state);
    goOn();
    const ended = await test.shop.until(orderId, isAtRest);
    expect(ended).toMatchObject({ state: "CANCELLED", refunded: 0n, rejection: undefined });
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
    const authorized = [...test.shop.payments.payments.values()].map(({ state }) => state);
    expect(authorized.every((state) => state === Payment_State.VOIDED)).toBe(true);
  });

  it("refunds what was captured while it was cancelled", async () => {
    const { call, orderId, goOn } = await stopAt("after", "PaymentService.capturePayment");
    expect(orderOf(await test.shop.orders.cancelOrder(request(orderId), call)).state).toBe(Order_State.CANCELLING);
    goOn();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "CANCELLED", refunded: 1_490n });
    expect(test.shop.payments.payments.get("pay_1")).toMatchObject({
      state: Payment_State.CAPTURED,
      refunded: { currencyCode: "EUR", minorUnits: 1_490n },
    });
    expect(test.shop.inventory.reservations.get("res_1")?.state).toBe(Reservation_State.RELEASED);
  });

  it("voids a payment that could not be captured", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    test.shop.interference.before = (method) => {
      if (method.endsWith("capturePayment")) throw meshFailure("SERVICE_UNAVAILABLE", "down");
    };
    const call = test.shop.mesh.call({ user });
    const placed = orderOf(await test.shop.checkout.placeOrder(test.shop.placeRequest(user), call));
    expect(placed.state).toBe(Order_State.CONFIRMED);
    await test.shop.orders.cancelOrder(request(placed.id), call);
    expect(await test.shop.until(placed.id, isAtRest)).toMatchObject({ state: "CANCELLED", refunded: 0n });
    expect(test.shop.payments.payments.get("pay_1")?.state).toBe(Payment_State.VOIDED);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
  });

  it("is done once for a request that comes again, and changes nothing for another one", async () => {
    const { call, orderId, goOn } = await stopAt("before", "PaymentService.authorizePayment");
    const cancel = request(orderId);
    const answers = await Promise.all([1, 2, 3].map(() => test.shop.orders.cancelOrder(cancel, call)));
    expect(new Set(answers.map((answer) => orderOf(answer).history.length))).toEqual(new Set([3]));
    goOn();
    await test.shop.until(orderId, isAtRest);
    expect(await test.shop.orders.cancelOrder(cancel, call)).toEqual(answers[0]);
    const later = orderOf(await test.shop.orders.cancelOrder(request(orderId), call));
    expect(later.state).toBe(Order_State.CANCELLED);
    await expect(test.shop.orders.cancelOrder({ ...cancel, note: "other" }, call)).rejects.toMatchObject({
      reason: "REQUEST_ID_REUSED",
    });
  });

  it("is refused when the order was rejected", async () => {
    const user = newBuyer();
    const call = test.shop.mesh.call({ user });
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const declined = test.shop.placeRequest(user, { paymentToken: "tok_declined" });
    const failed = await test.shop.checkout.placeOrder(declined, call).catch((error) => error);
    await expect(test.shop.orders.cancelOrder(request(failed.metadata.order_id), call)).rejects.toMatchObject({
      reason: "STATE_CONFLICT",
      metadata: { state: "REJECTED" },
    });
  });
});

describe("cancelling what is sold", () => {
  it("takes the stock back and gives the money back, once", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 2n, "SKU-2": 1n });
    const call = test.shop.mesh.call({ user });
    const expectedTotal = { currencyCode: "EUR", minorUnits: 3_490n };
    const paid = orderOf(await test.shop.checkout.placeOrder(test.shop.placeRequest(user, { expectedTotal }), call));
    await test.shop.until(paid.id, isAtRest);
    const cancels = await Promise.all([1, 2].map(() => test.shop.orders.cancelOrder(request(paid.id), call)));
    for (const answer of cancels) expect(orderOf(answer).state).toBe(Order_State.CANCELLING);
    const ended = await test.shop.until(paid.id, isAtRest);
    expect(ended).toMatchObject({ state: "CANCELLED", refunded: 3_490n });
    expect(ended.history.slice(-5).map(({ note, actor }) => [note, actor])).toEqual([
      ["cancellation asked for: changed my mind", user.id],
      ["shipment called off", "orders"],
      ["payment refunded", "orders"],
      ["stock was sold", "orders"],
      ["sold stock taken back", "orders"],
    ]);
    expect([...test.shop.payments.refunds.values()]).toEqual([3_490n]);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
    expect(test.shop.inventory.available.get("SKU-2")).toBe(10n);
  });

  it.each([
    ["before", "RELEASED"],
    ["after", "COMMITTED"],
  ] as const)("meets a sale that is under way: cancelled %s it took effect, it is undone", async (phase, state) => {
    const { call, orderId, goOn } = await stopAt(phase, "InventoryService.commitReservation");
    expect(orderOf(await test.shop.orders.cancelOrder(request(orderId), call)).state).toBe(Order_State.CANCELLING);
    if (phase === "before") {
      // The late call reaches inventory when the hold was given back.
      await test.db.query("update orders set lease_until = now() - interval '1 second'");
      await test.shop.until(orderId, isAtRest);
    }
    goOn();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "CANCELLED", refunded: 1_490n });
    await test.shop.closeOrders();
    expect(test.shop.inventory.reservations.get("res_1")?.state).toBe(Reservation_State[state]);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
    expect([...test.shop.payments.refunds.values()]).toEqual([1_490n]);
  });
});
