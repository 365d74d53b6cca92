import { describe, expect, it } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { answerAfterMs, gate, isAtRest, newBuyer } from "./testing/shop.ts";

const test = shopForEachTest(answerAfterMs(300));

const expireLeases = () =>
  test.db.query("update orders set lease_until = now() - interval '1 second' where lease_until is not null");

/** Places an order that hangs in the first call of `method`, until the test lets it go. */
async function hangIn(method: string, phase: "before" | "after", paymentToken = "tok_visa") {
  const user = newBuyer();
  test.shop.fillCart(user.id, { "SKU-1": 1n });
  const reached = gate();
  const held = gate();
  let calls = 0;
  test.shop.interference[phase] = async (called) => {
    if (called !== method) return;
    calls += 1;
    if (calls > 1) return;
    reached.open();
    await held.opened;
  };
  const request = test.shop.placeRequest(user, { paymentToken });
  const answer = test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user })).catch((error) => error);
  await reached.opened;
  await answer;
  const [row] = await test.db.query<{ readonly id: string }>("select id from orders");
  return { orderId: row?.id ?? "", letGo: held.open };
}

function expectNothingKept(): void {
  for (const { state } of test.shop.payments.payments.values()) {
    expect([Payment_State.VOIDED, Payment_State.DECLINED, Payment_State.EXPIRED]).toContain(state);
  }
  for (const { state } of test.shop.inventory.reservations.values()) {
    expect([Reservation_State.RELEASED, Reservation_State.EXPIRED]).toContain(state);
  }
  expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
}

function expectSold(): void {
  const states = [...test.shop.payments.payments.values()].map(({ state }) => state);
  expect(states).toEqual([Payment_State.CAPTURED]);
  const holds = [...test.shop.inventory.reservations.values()].map(({ state }) => state);
  expect(holds).toEqual([Reservation_State.COMMITTED]);
  expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
}

describe("a process that stops for longer than its lease, and wakes up late", () => {
  // Whoever takes the order up has no payment token any more: what was not authorized by then is rejected.
  it.each([
    ["before", "InventoryService.createReservation", "REJECTED"],
    ["after", "InventoryService.createReservation", "REJECTED"],
    ["before", "PaymentService.authorizePayment", "REJECTED"],
    ["after", "PaymentService.authorizePayment", "PAID"],
    ["before", "PaymentService.capturePayment", "PAID"],
    ["after", "PaymentService.capturePayment", "PAID"],
    ["before", "InventoryService.commitReservation", "PAID"],
    ["after", "InventoryService.commitReservation", "PAID"],
    ["before", "CartService.clearCart", "PAID"],
    ["after", "CartService.clearCart", "PAID"],
  ] as const)("%s %s took effect: the order ends %s, once", async (phase, method, state) => {
    const { orderId, letGo } = await hangIn(method, phase);
    await expireLeases();
    const ended = await test.shop.until(orderId, isAtRest);
    expect(ended.state).toBe(state);
    letGo();
    await test.shop.closeOrders(); // ends when the late one has ended
    expect(await test.shop.until(orderId, isAtRest)).toEqual(ended);
    if (state === "PAID") expectSold();
    else expectNothingKept();
  });

  it.each(["before", "after"] as const)("%s a hold is given back: the order is rejected, once", async (phase) => {
    const { orderId, letGo } = await hangIn("InventoryService.releaseReservation", phase, "tok_declined");
    await expireLeases();
    const ended = await test.shop.until(orderId, isAtRest);
    expect(ended).toMatchObject({ state: "REJECTED", rejection: { metadata: { decline_code: "card_declined" } } });
    letGo();
    await test.shop.closeOrders();
    expect(await test.shop.until(orderId, isAtRest)).toEqual(ended);
    expectNothingKept();
  });
});

describe("an authorization that comes while another process settles the payment", () => {
  it("does not come about when it was settled before, whether or not that is known yet", async () => {
    const { orderId, letGo } = await hangIn("PaymentService.authorizePayment", "before");
    const settled = gate();
    const answered = gate();
    test.shop.interference.after = async (method) => {
      if (method !== "PaymentService.settleAuthorization") return;
      settled.open();
      await answered.opened;
    };
    await expireLeases();
    await settled.opened;
    letGo();
    answered.open();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({
      state: "REJECTED",
      rejection: { reason: "PAYMENT_DECLINED", metadata: { decline_code: "abandoned" } },
    });
    await test.shop.closeOrders();
    const payments = [...test.shop.payments.payments.values()].map(({ state, declineCode }) => [state, declineCode]);
    expect(payments).toEqual([[Payment_State.DECLINED, "abandoned"]]);
    expectNothingKept();
  });

  it("counts when it was first, though nobody knows for a while", async () => {
    const { orderId, letGo } = await hangIn("PaymentService.authorizePayment", "after");
    let asked = 0;
    test.shop.interference.before = (method) => {
      if (method !== "PaymentService.settleAuthorization") return;
      asked += 1;
      // The mesh itself asks three times.
      if (asked <= 4) throw failures(PaymentService)("OUTCOME_UNKNOWN", "not known yet");
    };
    await expireLeases();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "PAID" });
    letGo();
    await test.shop.closeOrders();
    expectSold();
  });
});

describe("a process that is told to end", () => {
  it("lets go of its orders, which another takes up at once", async () => {
    const { orderId, letGo } = await hangIn("PaymentService.capturePayment", "before");
    await test.shop.closeOrders(); // aborts the hanging call
    const other = test.shop.startAnother();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "PAID" });
    letGo();
    await other.close();
    expectSold();
  });

  it("takes a payment token with it: what was not authorized is rejected, and nothing is kept", async () => {
    test.shop.interference.before = (method) => {
      if (method === "PaymentService.authorizePayment") throw meshFailure("SERVICE_UNAVAILABLE", "no answer");
    };
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const pending = orderOf(await test.shop.checkout.placeOrder(test.shop.placeRequest(user), call));
    expect(pending.state).toBe(Order_State.PENDING);
    await test.shop.closeOrders();
    const other = test.shop.startAnother();
    expect(await test.shop.until(pending.id, isAtRest)).toMatchObject({
      state: "REJECTED",
      rejection: { reason: "PAYMENT_DECLINED", metadata: { decline_code: "abandoned" } },
    });
    await other.close();
    expectNothingKept();
  });
});

describe("what ran out while the order waited", () => {
  it("is held again when it is a hold", async () => {
    const { orderId, letGo } = await hangIn("InventoryService.commitReservation", "before");
    test.shop.inventory.expire("res_1");
    letGo();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "PAID", reservationId: "res_2", holds: 2 });
    expect(test.shop.inventory.reservations.get("res_2")?.state).toBe(Reservation_State.COMMITTED);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
  });

  it("is refunded when it is a hold, and the stock is gone", async () => {
    const { orderId, letGo } = await hangIn("InventoryService.commitReservation", "before");
    test.shop.inventory.expire("res_1");
    test.shop.inventory.available.set("SKU-1", 0n);
    letGo();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "CANCELLED", refunded: 1_490n });
    expect(test.shop.payments.payments.get("pay_1")?.refunded?.minorUnits).toBe(1_490n);
  });

  it("is undone when it is the authorization", async () => {
    const { orderId, letGo } = await hangIn("PaymentService.capturePayment", "before");
    test.shop.payments.lapse("pay_1");
    letGo();
    expect(await test.shop.until(orderId, isAtRest)).toMatchObject({ state: "CANCELLED", refunded: 0n });
    expectNothingKept();
  });
});

describe("an order that is stuck", () => {
  const operatorRequest = { pageSize: 0, pageToken: "" };

  /** An order whose capture fails, as after many tries, due again in an hour. */
  async function stuckOrder(): Promise<string> {
    const failed = gate();
    let calls = 0;
    test.shop.interference.before = (method) => {
      if (!method.endsWith("capturePayment")) return;
      calls += 1;
      // The mesh itself tries three times; a call after those comes when the first failure is on record.
      if (calls > 3) failed.open();
      throw meshFailure("SERVICE_UNAVAILABLE", "down");
    };
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const placed = orderOf(
      await test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
    );
    await failed.opened;
    await test.db.query(
      `update orders set attempts = 8, fence = fence + 1, lease_until = null,
         next_attempt_time = now() + interval '1 hour' where id = $1`,
      [placed.id],
    );
    return placed.id;
  }

  it("is listed with what is tried and why it fails, and goes on when it is retried", async () => {
    const orderId = await stuckOrder();
    const operator = test.shop.mesh.mesh("operator").client(OrderService);
    const call = test.shop.mesh.call();
    const { orders, nextPageToken } = await operator.listStuckOrders(operatorRequest, call);
    expect(nextPageToken).toBe("");
    expect(orders).toMatchObject([
      {
        order: { id: orderId, state: Order_State.CONFIRMED },
        step: "capture_payment",
        attempts: 8,
        lastError: "UNAVAILABLE SERVICE_UNAVAILABLE (shop.payments.v1.PaymentService)",
      },
    ]);
    test.shop.interference.before = () => {};
    const retry = { requestId: newId("req"), orderId };
    const retried = orderOf(await operator.retryOrder(retry, call));
    expect(retried.history.at(-1)).toMatchObject({ actor: "operator", note: "tried again on request" });
    const ended = await test.shop.until(orderId, isAtRest);
    expect(ended.state).toBe("PAID");
    expect(ended.history.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await operator.listStuckOrders(operatorRequest, call)).orders).toEqual([]);
    expect(await operator.retryOrder(retry, call)).toEqual({ order: retried });
    await expect(operator.retryOrder({ ...retry, requestId: newId("req") }, call)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "ORDER_NOT_STUCK",
    });
  });

  it("is nobody's business but the staff's", async () => {
    const call = test.shop.mesh.call({ user: newBuyer() });
    const refusal = { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" };
    await expect(test.shop.orders.listStuckOrders(operatorRequest, call)).rejects.toMatchObject(refusal);
    const support = test.shop.mesh.call({ user: { roles: ["support"] } });
    expect((await test.shop.orders.listStuckOrders(operatorRequest, support)).orders).toEqual([]);
    const retry = { requestId: newId("req"), orderId: "ord_unknown" };
    await expect(test.shop.orders.retryOrder(retry, support)).rejects.toMatchObject({ reason: "ORDER_NOT_FOUND" });
  });
});
