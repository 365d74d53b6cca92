import { describe, expect, it } from "vitest";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { address, gate, isAtRest, newBuyer } from "./testing/shop.ts";

// More than a test takes, so that the call which clears the cart is not given up in one; and next to nothing.
const patient = { timings: { cartMs: 60_000 } };
const hasty = { timings: { cartMs: 50 } };

type Test = ReturnType<typeof shopForEachTest>;

const expireLeases = (test: Test) =>
  test.db.query("update orders set lease_until = now() - interval '1 second' where lease_until is not null");

function buyerWithCart(test: Test) {
  const user = newBuyer();
  test.shop.fillCart(user.id, { "SKU-1": 1n });
  const call = test.shop.mesh.call({ user });
  const cart = () => [...(test.shop.cart.items.get(`cart_${user.id}`) ?? [])];
  return { user, call, cart, place: () => test.shop.checkout.placeOrder(test.shop.placeRequest(user), call) };
}

describe("the cart of an order", () => {
  const test = shopForEachTest(patient);

  it("is empty when the answer comes, so that whoever shops on at once buys nothing twice", async () => {
    const { call, cart, place } = buyerWithCart(test);
    test.shop.interference.before = async (method) => {
      if (method !== "CartService.clearCart") return;
      // By now an answer that did not wait would be there.
      const listing = { customerId: "", state: Order_State.UNSPECIFIED, pageSize: 0, pageToken: "" };
      const { orders } = await test.shop.orders.listOrders(listing, call);
      expect(orders).toMatchObject([{ state: Order_State.CONFIRMED }]);
    };
    const first = orderOf(await place());
    expect(cart()).toEqual([]);
    await expect(place()).rejects.toMatchObject({ reason: "CART_EMPTY" });
    const quote = test.shop.checkout.quoteCheckout({ cartId: "", address }, call);
    await expect(quote).rejects.toMatchObject({ reason: "CART_EMPTY" });
    expect(await test.shop.until(first.id, isAtRest)).toMatchObject({ state: "PAID", cartCleared: true });
    const cleared = test.shop.interference.calls.filter((method) => method === "CartService.clearCart");
    expect(cleared).toHaveLength(1);
  });
});

describe("a cart that is away", () => {
  const test = shopForEachTest(hasty);

  it("holds up neither the answer nor the capture when it cannot be reached, and is cleared at the end", async () => {
    const { cart, place } = buyerWithCart(test);
    let down = true;
    test.shop.interference.before = (method) => {
      if (method === "CartService.clearCart" && down) throw meshFailure("SERVICE_UNAVAILABLE", "down");
    };
    const placed = orderOf(await place());
    expect([Order_State.CONFIRMED, Order_State.PAID]).toContain(placed.state);
    const sold = await test.shop.until(placed.id, ({ state }) => state === "PAID");
    expect(sold).toMatchObject({ cartCleared: false });
    await test.shop.until(placed.id, ({ step }) => step === "clear_cart");
    down = false;
    const order = await test.shop.until(placed.id, isAtRest);
    expect(order.history.map(({ note }) => note)).toEqual([
      "placed",
      "stock held",
      "payment authorized",
      "cart not reached; cleared later",
      "payment captured",
      "stock sold",
      "shipment booked",
      "cart cleared",
    ]);
    expect(cart()).toEqual([]);
  });

  it("holds up neither when it does not answer, and is cleared once", async () => {
    const { user, cart, place } = buyerWithCart(test);
    const held = gate();
    let calls = 0;
    test.shop.interference.after = async (method) => {
      if (method !== "CartService.clearCart") return;
      calls += 1;
      if (calls === 1) await held.opened;
    };
    const placed = orderOf(await place());
    expect(placed.state).toBe(Order_State.CONFIRMED);
    // Bought again, after it was cleared and before that is known.
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    expect(await test.shop.until(placed.id, isAtRest)).toMatchObject({ state: "PAID", cartCleared: true });
    held.open();
    expect(cart()).toEqual([["SKU-1", 1n]]);
  });

  it("keeps nobody waiting whose order's process is gone", async () => {
    const { user } = buyerWithCart(test);
    const reached = gate();
    const held = gate();
    let calls = 0;
    test.shop.interference.before = async (method) => {
      if (method !== "CartService.clearCart") return;
      calls += 1;
      if (calls > 1) return;
      reached.open();
      await held.opened;
    };
    const request = test.shop.placeRequest(user);
    const call = test.shop.mesh.call({ user });
    const placing = test.shop.checkout.placeOrder(request, call);
    await reached.opened;
    // Another process holds the order from here on, and does nothing: as good as gone.
    await test.db.query("update orders set fence = fence + 1, lease_until = now() + interval '1 minute'");
    expect(orderOf(await placing).state).toBe(Order_State.CONFIRMED);
    expect(orderOf(await test.shop.checkout.placeOrder(request, call)).state).toBe(Order_State.CONFIRMED);
    await expireLeases(test);
    const [row] = await test.db.query<{ readonly id: string }>("select id from orders");
    held.open();
    expect(await test.shop.until(row?.id ?? "", isAtRest)).toMatchObject({ state: "PAID" });
  });
});
