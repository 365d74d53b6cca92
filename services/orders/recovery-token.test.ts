import { describe, expect, it } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { newId } from "#mesh/ids.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { answerAfterMs, gate, isAtRest, newBuyer } from "./testing/shop.ts";

// No order is given up while a test runs: it has the token by then, or it waits.
const test = shopForEachTest({ ...answerAfterMs(300), timings: { tokenWaitMs: 60_000 } });

/** Places an order whose process stands still in the first call of `method`, for longer than its lease. */
async function orphan(method: string, paymentToken = "tok_visa") {
  const user = newBuyer();
  test.shop.fillCart(user.id, { "SKU-1": 1n });
  const reached = gate();
  const held = gate();
  let calls = 0;
  test.shop.interference.before = async (called) => {
    if (called !== method) return;
    calls += 1;
    if (calls > 1) return;
    reached.open();
    await held.opened;
  };
  const request = test.shop.placeRequest(user, { paymentToken });
  const call = test.shop.mesh.call({ user });
  const pending = orderOf(await test.shop.checkout.placeOrder(request, call));
  expect(pending.state).toBe(Order_State.PENDING);
  await reached.opened;
  return { orderId: pending.id, call, letGo: held.open, again: () => test.shop.checkout.placeOrder(request, call) };
}

const expireLeases = () =>
  test.db.query("update orders set lease_until = now() - interval '1 second' where lease_until is not null");

const givenUp = ({ step }: { readonly step: string }) => step === "settle_payment";

describe("an order whose process is gone, and the payment token with it", () => {
  it.each(["InventoryService.createReservation", "PaymentService.authorizePayment"])(
    "is paid with the token that a copy brought while the process still held it in %s",
    async (method) => {
      const { orderId, again, letGo } = await orphan(method);
      expect(orderOf(await again())).toMatchObject({ id: orderId, state: Order_State.PENDING });
      await expireLeases();
      expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "PAID" });
      letGo();
      await test.shop.closeOrders();
      const states = [...test.shop.payments.payments.values()].map(({ state }) => state);
      expect(states).toEqual([Payment_State.CAPTURED]);
    },
  );

  it("is paid at once with the token that a copy brings after it was missed", async () => {
    const { orderId, again, letGo } = await orphan("PaymentService.authorizePayment");
    await expireLeases();
    await test.shop.until(orderId, givenUp);
    expect(orderOf(await again()).id).toBe(orderId);
    const { state, history } = await test.shop.until(orderId, isAtRest);
    expect(state).toBe("PAID");
    expect(history.map(({ note }) => note)).toEqual([
      "placed",
      "stock held",
      "outcome of the payment unknown",
      "payment token came again",
      "payment authorized",
      "cart cleared",
      "payment captured",
      "stock sold",
      "shipment booked",
    ]);
    letGo();
  });

  it("is rejected as the card says, with the token that a copy brings", async () => {
    const { orderId, again, letGo } = await orphan("PaymentService.authorizePayment", "tok_declined");
    await expireLeases();
    await test.shop.until(orderId, givenUp);
    await again().catch(() => {}); // may answer before it is known
    await test.shop.until(orderId, isAtRest);
    await expect(again()).rejects.toMatchObject({
      reason: "PAYMENT_DECLINED",
      metadata: { order_id: orderId, decline_code: "card_declined" },
    });
    letGo();
  });

  it("is paid with nothing once its buyer has cancelled it, though a copy brings the token", async () => {
    const { orderId, call, again, letGo } = await orphan("PaymentService.authorizePayment");
    await expireLeases();
    await test.shop.until(orderId, givenUp);
    await test.shop.orders.cancelOrder({ requestId: newId("req"), orderId, note: "" }, call);
    await again();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "CANCELLED" });
    letGo();
    await test.shop.closeOrders();
    const states = [...test.shop.payments.payments.values()].map(({ state }) => state);
    expect(states).toEqual([Payment_State.DECLINED]);
  });
});
