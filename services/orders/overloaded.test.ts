import { describe, expect, it } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { answerAfterMs, isAtRest, newBuyer } from "./testing/shop.ts";

const overloaded = () => meshFailure("OVERLOADED", "too much work at once", { retryDelayMs: 400 });

describe("callees that have too much to do", () => {
  const test = shopForEachTest(answerAfterMs(100));

  it("are asked again at each step of the saga, and nothing is lost or done twice", async () => {
    const refusals: string[] = [];
    test.shop.interference.before = (method) => {
      const begun = /\.(getCart|batchGetVariants)$/.test(method);
      if (begun || refusals.includes(method)) return;
      refusals.push(method);
      throw overloaded();
    };
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const placed = orderOf(
      await test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
    );
    expect(await test.shop.until(placed.id, isAtRest)).toMatchObject({ state: "PAID" });
    expect(refusals.length).toBeGreaterThanOrEqual(5);
    const states = [...test.shop.payments.payments.values()].map(({ state }) => state);
    expect(states).toEqual([Payment_State.CAPTURED]);
    expect(test.shop.inventory.available.get("SKU-1")).toBe(9n);
  });

  it("before there is an order, leave it at telling the buyer to come again", async () => {
    test.shop.interference.before = (method) => {
      if (method.endsWith("batchGetVariants")) throw overloaded();
    };
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const placing = test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user }));
    await expect(placing).rejects.toMatchObject({ reason: "OVERLOADED", retryDelayMs: 400 });
    expect(await test.db.query("select id from orders")).toEqual([]);
  });
});
