import { expect, it } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Order } from "./domain-order.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { isAtRest, newBuyer } from "./testing/shop.ts";

const test = shopForEachTest();

const fail = failures(PaymentService);
const conflict = (state: string) => fail("STATE_CONFLICT", "the payment gateway refused", { state });

/** Places an order, and follows it to its end. */
async function buy(): Promise<Order> {
  const user = newBuyer();
  test.shop.fillCart(user.id, { "SKU-1": 1n });
  const placed = orderOf(
    await test.shop.checkout.placeOrder(test.shop.placeRequest(user), test.shop.mesh.call({ user })),
  );
  return test.shop.until(placed.id, isAtRest);
}

const callsOf = (method: string) => test.shop.interference.calls.filter((call) => call === method).length;

it.each([
  ["refused for good", conflict("AUTHORIZED")],
  ["of more than is set aside", fail("AMOUNT_TOO_LARGE", "too much", { limit_minor_units: "1" })],
])("a capture that is %s: the order is undone, and nothing is kept", async (_what, refusal) => {
  test.shop.interference.before = (method) => {
    if (method === "PaymentService.capturePayment") throw refusal;
  };
  const { state, history } = await buy();
  expect(state).toBe("CANCELLED");
  expect(history.map(({ note }) => note)).toContain("payment could not be captured");
  expect(callsOf("PaymentService.capturePayment")).toBe(1);
  expect([...test.shop.payments.payments.values()].map((payment) => payment.state)).toEqual([Payment_State.VOIDED]);
  expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
});

it("a void that is refused: the order is undone once the authorization has lapsed by itself", async () => {
  let voids = 0;
  test.shop.interference.before = (method) => {
    if (method === "PaymentService.capturePayment") throw conflict("AUTHORIZED");
    if (method !== "PaymentService.voidPayment") return;
    voids += 1;
    throw conflict(voids <= 2 ? "AUTHORIZED" : "EXPIRED");
  };
  expect(await buy()).toMatchObject({ state: "CANCELLED", refunded: 0n });
  expect(voids).toBe(3);
  expect(test.shop.inventory.available.get("SKU-1")).toBe(10n);
});
