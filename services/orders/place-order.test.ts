import { describe, expect, it, vi } from "vitest";
import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { address, gate, isAtRest, newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

const countOrders = async () => {
  const [row] = await test.db.query<{ readonly count: bigint }>("select count(*) as count from orders");
  return row?.count;
};

const callsOf = (method: string) => test.shop.interference.calls.filter((call) => call === method).length;

describe("buying", () => {
  it("confirms, and then captures, sells and clears the cart of what was ordered", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 2n, "SKU-2": 1n });
    const call = test.shop.mesh.call({ user });
    const total = { currencyCode: "EUR", minorUnits: 3_490n };
    const placed = orderOf(
      await test.shop.checkout.placeOrder(test.shop.placeRequest(user, { expectedTotal: total }), call),
    );
    expect(placed).toMatchObject({
      customerId: user.id,
      subtotal: { currencyCode: "EUR", minorUnits: 3_000n },
      shippingPrice: { currencyCode: "EUR", minorUnits: 490n },
      total,
      paymentId: "pay_1",
      rejection: undefined,
    });
    expect([Order_State.CONFIRMED, Order_State.PAID]).toContain(placed.state);
    expect(placed.lines.map(({ sku, title, quantity, lineTotal }) => [sku, title, quantity, lineTotal])).toEqual([
      ["SKU-1", "Motor SKU-1, 24 V", 2n, { currencyCode: "EUR", minorUnits: 2_000n }],
      ["SKU-2", "Motor SKU-2, 24 V", 1n, { currencyCode: "EUR", minorUnits: 1_000n }],
    ]);

    const paid = await test.shop.until(placed.id, isAtRest);
    expect(paid.history.map(({ note, actor }) => [note, actor])).toEqual([
      ["placed", user.id],
      ["stock held", "orders"],
      ["payment authorized", "orders"],
      ["cart cleared", "orders"],
      ["payment captured", "orders"],
      ["stock sold", "orders"],
      ["shipment booked", "orders"],
    ]);
    expect(test.shop.payments.payments.get("pay_1")).toMatchObject({ state: Payment_State.CAPTURED, captured: total });
    expect(test.shop.inventory.reservations.get("res_1")?.state).toBe(Reservation_State.COMMITTED);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(8n);
    expect(test.shop.cart.items.get(`cart_${user.id}`)?.size).toBe(0);
  });

  it("leaves in the cart what was put there while the order was under way", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    test.shop.interference.before = (method) => {
      if (method === "PaymentService.authorizePayment") test.shop.fillCart(user.id, { "SKU-1": 3n, "SKU-2": 1n });
    };
    const call = test.shop.mesh.call({ user });
    const placed = orderOf(await test.shop.checkout.placeOrder(test.shop.placeRequest(user), call));
    await test.shop.until(placed.id, isAtRest);
    expect([...(test.shop.cart.items.get(`cart_${user.id}`) ?? [])]).toEqual([
      ["SKU-1", 2n],
      ["SKU-2", 1n],
    ]);
  });

  it("asks for what a quote has named", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const quote = await test.shop.checkout.quoteCheckout({ cartId: "", address }, call);
    expect(quote).toMatchObject({
      cartId: `cart_${user.id}`,
      lines: [{ sku: "SKU-1", quantity: 1n, unitPrice: { currencyCode: "EUR", minorUnits: 1_000n } }],
      subtotal: { currencyCode: "EUR", minorUnits: 1_000n },
      options: [
        {
          shippingOption: {
            title: "Standard",
            price: { currencyCode: "EUR", minorUnits: 490n },
            minDays: 2,
            maxDays: 4,
          },
          total: { currencyCode: "EUR", minorUnits: 1_490n },
        },
        { shippingOption: { title: "Express" }, total: { currencyCode: "EUR", minorUnits: 2_290n } },
      ],
    });
    for (const [option, id] of [
      [quote.options[1], "express"],
      [quote.options[0], "standard"],
    ] as const) {
      test.shop.fillCart(user.id, { "SKU-1": 1n });
      const chosen = { shippingOptionId: option?.shippingOption?.id, expectedTotal: option?.total };
      const placed = orderOf(await test.shop.checkout.placeOrder(test.shop.placeRequest(user, chosen), call));
      expect(placed).toMatchObject({ total: option?.total, shippingOption: { ...option?.shippingOption, id } });
    }
  });

  it("sends from a subtotal of 150.00 on for nothing", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 5n });
    test.shop.catalog.variants.set("SKU-1", { price: 3_000n });
    const expectedTotal = { currencyCode: "EUR", minorUnits: 15_000n };
    const placed = await test.shop.checkout.placeOrder(
      test.shop.placeRequest(user, { expectedTotal }),
      test.shop.mesh.call({ user }),
    );
    expect(orderOf(placed).shippingPrice?.minorUnits).toBe(0n);
  });

  it("makes as many calls for a hundred lines as for one: five before the answer and four after", async () => {
    const callsFor = async (lines: number) => {
      const user = newBuyer();
      const items = Object.fromEntries(Array.from({ length: lines }, (_, i) => [`SKU-${i}`, 1n]));
      test.shop.fillCart(user.id, items);
      test.shop.interference.calls.length = 0;
      const subtotal = BigInt(lines) * 1_000n;
      const minorUnits = subtotal + (subtotal >= 15_000n ? 0n : 490n);
      const request = test.shop.placeRequest(user, { expectedTotal: { currencyCode: "EUR", minorUnits } });
      const call = test.shop.mesh.call({ user });
      const held = gate();
      test.shop.interference.before = async (method) => {
        if (method === "PaymentService.capturePayment") await held.opened;
      };
      const placed = orderOf(await test.shop.checkout.placeOrder(request, call));
      // The sixth may have been sent, and waits.
      expect(test.shop.interference.calls.slice(5)).not.toContain("InventoryService.commitReservation");
      expect(test.shop.cart.items.get(`cart_${user.id}`)?.size).toBe(0);
      held.open();
      await test.shop.until(placed.id, isAtRest);
      const { notifications } = test.shop;
      await vi.waitFor(() => expect(notifications.mailsOf(placed.id)).toEqual(["confirmation"]), { timeout: 10_000 });
      return [...test.shop.interference.calls];
    };
    const one = await callsFor(1);
    expect(one).toEqual([
      "CartService.getCart",
      "CatalogService.batchGetVariants",
      "InventoryService.createReservation",
      "PaymentService.authorizePayment",
      "CartService.clearCart",
      "PaymentService.capturePayment",
      "InventoryService.commitReservation",
      "ShippingService.createShipment",
      "NotificationService.sendOrderConfirmation",
    ]);
    expect(await callsFor(100)).toEqual(one);
  });

  it("goes on when the buyer hangs up", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const hangUp = new AbortController();
    const held = gate();
    test.shop.interference.before = async (method) => {
      if (method !== "PaymentService.authorizePayment") return;
      hangUp.abort();
      await held.opened;
    };
    const request = test.shop.placeRequest(user);
    const call = test.shop.mesh.call({ user, signal: hangUp.signal });
    await expect(test.shop.checkout.placeOrder(request, call)).rejects.toMatchObject({ code: "CANCELLED" });
    held.open();
    const again = orderOf(await test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user })));
    expect(await test.shop.until(again.id, isAtRest)).toMatchObject({ paymentId: "pay_1" });
  });
});

describe("refusing before anything is written", () => {
  const usd = { currencyCode: "USD", minorUnits: 1_490n };
  it.each([
    [
      "another total",
      { expectedTotal: { currencyCode: "EUR", minorUnits: 1_489n } },
      "FAILED_PRECONDITION",
      "PRICE_CHANGED",
      { total_minor_units: "1490", currency_code: "EUR" },
    ],
    ["another currency", { expectedTotal: usd }, "INVALID_ARGUMENT", "CURRENCY_MISMATCH", { currency_code: "EUR" }],
    [
      "an unknown way of sending",
      { shippingOptionId: "rocket" },
      "NOT_FOUND",
      "SHIPPING_OPTION_NOT_FOUND",
      { shipping_option_id: "rocket" },
    ],
    ["somebody else's cart", { cartId: "cart_usr_2" }, "NOT_FOUND", "CART_NOT_FOUND", {}],
  ])("refuses %s", async (_what, changes, code, reason, metadata) => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const call = test.shop.mesh.call({ user });
    const request = test.shop.placeRequest(user, changes);
    await expect(test.shop.checkout.placeOrder(request, call)).rejects.toMatchObject({ code, reason, metadata });
    await nothingHappened();
    // The id is still free.
    const { requestId } = request;
    expect(
      orderOf(await test.shop.checkout.placeOrder(test.shop.placeRequest(user, { requestId }), call)).customerId,
    ).toBe(user.id);
  });

  it.each([
    ["an empty cart", {}, {}, "FAILED_PRECONDITION", "CART_EMPTY", {}],
    [
      "a SKU that is off the shelf",
      { "SKU-1": 1n },
      { "SKU-1": { price: 1_000n, purchasable: false } },
      "FAILED_PRECONDITION",
      "NOT_FOR_SALE",
      { sku: "SKU-1" },
    ],
    [
      "a total beyond int64",
      { "SKU-1": 2n },
      { "SKU-1": { price: 2n ** 62n } },
      "INVALID_ARGUMENT",
      "INVALID_REQUEST",
      {},
    ],
    [
      "a total that shipping takes beyond int64",
      { "SKU-1": 1n, "SKU-2": 1n },
      { "SKU-1": { price: 2n ** 63n - 1n }, "SKU-2": { price: 1n } },
      "INVALID_ARGUMENT",
      "INVALID_REQUEST",
      {},
    ],
    [
      "a price in a currency that the shop has not",
      { "SKU-1": 1n },
      { "SKU-1": { price: 1_000n, currencyCode: "USD" } },
      "INTERNAL",
      "INTERNAL",
      {},
    ],
  ])("refuses %s, as a quote does", async (_what, items, variants, code, reason, metadata) => {
    const user = newBuyer();
    test.shop.fillCart(user.id, items);
    for (const [sku, variant] of Object.entries(variants)) test.shop.catalog.variants.set(sku, variant);
    const call = test.shop.mesh.call({ user });
    const refusal = { code, reason, metadata };
    await expect(test.shop.checkout.placeOrder(test.shop.placeRequest(user), call)).rejects.toMatchObject(refusal);
    await expect(test.shop.checkout.quoteCheckout({ cartId: "", address }, call)).rejects.toMatchObject(refusal);
    await nothingHappened();
  });

  it("refuses a SKU that is not in the catalogue", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    test.shop.catalog.variants.delete("SKU-1");
    const refusal = { code: "NOT_FOUND", reason: "UNKNOWN_SKU", metadata: { sku: "SKU-1" } };
    await expect(
      test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
    ).rejects.toMatchObject(refusal);
    await nothingHappened();
  });

  it("names every field that breaks a rule", async () => {
    const request = test.shop.placeRequest(newBuyer(), { requestId: "short", email: "nobody", paymentToken: "" });
    const failed = await test.shop.checkout
      .placeOrder(request, test.shop.mesh.call({ user: newBuyer() }))
      .catch((error) => error);
    expect(failed).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
    expect(failed.violations.map(({ field }: { field: string }) => field).sort()).toEqual([
      "email",
      "payment_token",
      "request_id",
    ]);
  });

  it("wants a token", async () => {
    const refusal = { code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" };
    await expect(
      test.shop.checkout.placeOrder(test.shop.placeRequest(newBuyer()), test.shop.mesh.call()),
    ).rejects.toMatchObject(refusal);
  });

  async function nothingHappened(): Promise<void> {
    expect(await countOrders()).toBe(0n);
    expect(callsOf("InventoryService.createReservation")).toBe(0);
    expect(callsOf("PaymentService.authorizePayment")).toBe(0);
  }
});
