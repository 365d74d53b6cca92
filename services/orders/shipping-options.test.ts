import { describe, expect, it } from "vitest";
import type { PlaceOrderRequest, QuotedOption } from "#gen/shop/orders/v1/checkout_service.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { MAX_MINOR_UNITS } from "./domain-money.ts";
import { getOrder } from "./store.ts";
import { packedOf } from "./testing/fake-shop.ts";
import { orderOf, shopForEachTest } from "./testing/setup.ts";
import { address, newBuyer, shippingOptions } from "./testing/shop.ts";

const test = shopForEachTest();

const HALF_AN_HOUR_MS = 30 * 60_000;
const packed = { weightGrams: 900, lengthMm: 200, widthMm: 100, heightMm: 50 };

/** A buyer with two units in the cart, for 20.00, who has asked how they can be sent. */
async function quoted(): Promise<{
  readonly user: ReturnType<typeof newBuyer>;
  readonly call: Call;
  readonly options: readonly QuotedOption[];
  place(changes?: Partial<PlaceOrderRequest>, at?: Call): ReturnType<typeof test.shop.checkout.placeOrder>;
}> {
  const user = newBuyer();
  test.shop.catalog.variants.set("SKU-1", { price: 1_000n, packed });
  test.shop.fillCart(user.id, { "SKU-1": 2n });
  const call = test.shop.mesh.call({ user });
  const { options } = await test.shop.checkout.quoteCheckout({ cartId: "", address }, call);
  const chosen = { shippingOptionId: options[0]?.shippingOption?.id, expectedTotal: options[0]?.total };
  const request = test.shop.placeRequest(user, chosen);
  const place = (changes?: Partial<PlaceOrderRequest>, at = call) =>
    test.shop.checkout.placeOrder({ ...request, ...changes }, at);
  return { user, call, options, place };
}

const countOrders = async () => (await test.db.query("select id from orders")).length;
const notFound = { code: "NOT_FOUND", reason: "SHIPPING_OPTION_NOT_FOUND" };

describe("a quote", () => {
  it("asks shipping once, for the goods as they are packed, their price and the destination", async () => {
    const { options } = await quoted();
    expect(test.shop.shipping.asked).toEqual([
      {
        address,
        lines: [{ sku: "SKU-1", quantity: 2n, ...packed }],
        subtotal: { currencyCode: "EUR", minorUnits: 2_000n },
      },
    ]);
    expect(test.shop.interference.calls).toEqual([
      "CartService.getCart",
      "CatalogService.batchGetVariants",
      "ShippingService.quoteRates",
    ]);
    expect(options.map(({ total }) => total?.minorUnits)).toEqual([2_490n, 3_290n]);
    for (const { expireTime } of options) expect(expireTime?.getTime()).toBeGreaterThan(Date.now());
  });

  it("has ids that fit into the requests which bring them back, whatever fits into the answer of shipping", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const price = { currencyCode: "EUR", minorUnits: MAX_MINOR_UNITS - 1_000n };
    const option = { id: "standard", title: "T".repeat(60), price, minDays: 2_147_483_646, maxDays: 2_147_483_647 };
    const goods = [{ sku: "SKU-1", quantity: 1n, packed: packedOf({ price: 1_000n }) }];
    const shippingOptionId = shippingOptions.seal(
      { customerId: user.id, goods, address },
      { rateId: "r".repeat(512), option, expireTime: new Date(8.64e15) },
    );
    const request = test.shop.placeRequest(user, { shippingOptionId });
    // It came through, and is too dear.
    await expect(test.shop.checkout.placeOrder(request, test.shop.mesh.call({ user }))).rejects.toMatchObject({
      reason: "PRICE_CHANGED",
      metadata: { total_minor_units: String(MAX_MINOR_UNITS) },
    });
  });

  it("says where the shop does not deliver", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n });
    const abroad = { ...address, countryCode: "US", postalCode: "10001" };
    const asked = test.shop.checkout.quoteCheckout({ cartId: "", address: abroad }, test.shop.mesh.call({ user }));
    await expect(asked).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "DESTINATION_NOT_SERVED",
      metadata: { country_code: "US", postal_code: "10001" },
    });
  });

  it("says what is too large to be sent", async () => {
    const user = newBuyer();
    test.shop.fillCart(user.id, { "SKU-1": 1n, "SKU-2": 1n });
    test.shop.shipping.tooLarge.add("SKU-2");
    const asked = test.shop.checkout.quoteCheckout({ cartId: "", address }, test.shop.mesh.call({ user }));
    const refusal = { code: "FAILED_PRECONDITION", reason: "GOODS_TOO_LARGE", metadata: { sku: "SKU-2" } };
    await expect(asked).rejects.toMatchObject(refusal);
  });
});

describe("what was quoted", () => {
  it("is kept with the order: the rate, and what the goods weigh and measure", async () => {
    const { place, options } = await quoted();
    const { id } = orderOf(
      await place({ shippingOptionId: options[1]?.shippingOption?.id, expectedTotal: options[1]?.total }),
    );
    const order = await getOrder(test.db, id);
    expect(order).toMatchObject({
      rateId: "rate_express",
      shippingOption: { id: "express", price: { minorUnits: 1_290n }, minDays: 1, maxDays: 1 },
      lines: [{ packed }],
    });
  });

  it("is paid, though shipping is away by then or asks for more", async () => {
    const { place } = await quoted();
    test.shop.interference.before = (method) => {
      if (method.startsWith("ShippingService")) throw meshFailure("SERVICE_UNAVAILABLE", "away");
    };
    expect(orderOf(await place()).shippingPrice).toEqual({ currencyCode: "EUR", minorUnits: 490n });
  });

  it("is good for an address whose name or street was put right", async () => {
    const { place } = await quoted();
    const corrected = { ...address, recipient: "Ada M. Buyer", lines: ["Street 2"] };
    expect(orderOf(await place({ address: corrected })).address).toMatchObject(corrected);
  });

  it("is good until it expires, and no longer", async () => {
    const { place, user } = await quoted();
    test.shop.later(HALF_AN_HOUR_MS + 1_000);
    const { expireTime } = await quotedAgain(user.id);
    const late = await place({}, test.shop.mesh.call({ user })).catch((error) => error);
    expect(late).toMatchObject(notFound);
    expect(Date.parse(late.metadata.expire_time)).toBeLessThan(expireTime.getTime() - HALF_AN_HOUR_MS);
    expect(await countOrders()).toBe(0);
  });

  it("gives the same order when the request comes again after it has expired, and asks nobody", async () => {
    const { place, user } = await quoted();
    const placed = orderOf(await place());
    test.shop.later(2 * HALF_AN_HOUR_MS);
    await test.shop.until(placed.id, ({ step }) => step === "done");
    await expect.poll(() => test.shop.interference.calls).toContain("NotificationService.sendOrderConfirmation");
    test.shop.interference.calls.length = 0;
    const again = orderOf(await place({}, test.shop.mesh.call({ user })));
    expect(again).toMatchObject({ id: placed.id, state: Order_State.PAID, total: placed.total });
    expect(test.shop.interference.calls).toEqual([]);
  });
});

describe("an option is refused", () => {
  it.each([
    ["for another postal code", { address: { ...address, postalCode: "10117" } }],
    ["for another country", { address: { ...address, countryCode: "AT" } }],
    ["that nobody has quoted", { shippingOptionId: "standard" }],
    ["that is one of shipping's rates", { shippingOptionId: "rate_standard" }],
  ])("%s", async (_, changes) => {
    const { place } = await quoted();
    const refused = await place(changes).catch((error) => error);
    expect(refused).toMatchObject(notFound);
    expect(refused.metadata).not.toHaveProperty("expire_time");
    expect(await countOrders()).toBe(0);
  });

  it("that was somebody else's, as if there were none, also when it has expired", async () => {
    const { options } = await quoted();
    const other = await quoted();
    const shippingOptionId = options[0]?.shippingOption?.id;
    for (const ms of [0, 2 * HALF_AN_HOUR_MS]) {
      test.shop.later(ms);
      const at = test.shop.mesh.call({ user: other.user });
      const refused = await other.place({ shippingOptionId }, at).catch((error) => error);
      expect(refused).toMatchObject({ ...notFound, metadata: { shipping_option_id: shippingOptionId } });
      expect(refused.metadata).not.toHaveProperty("expire_time");
    }
    expect(await countOrders()).toBe(0);
  });

  it.each([
    ["more units", () => ({ "SKU-1": 3n }), {}],
    ["fewer units", () => ({ "SKU-1": 1n }), {}],
    ["another SKU as well", () => ({ "SKU-1": 2n, "SKU-2": 1n }), {}],
    ["goods that have become heavier", () => ({ "SKU-1": 2n }), { packed: { ...packed, weightGrams: 901 } }],
    ["goods that have become larger", () => ({ "SKU-1": 2n }), { packed: { ...packed, heightMm: 51 } }],
  ])("when the cart holds %s, for what that costs is not known", async (_, items, variant) => {
    const { place, user } = await quoted();
    test.shop.fillCart(user.id, items());
    test.shop.catalog.variants.set("SKU-1", { price: 1_000n, packed, ...variant });
    const refused = await place().catch((error) => error);
    expect(refused).toMatchObject({ code: "FAILED_PRECONDITION", reason: "PRICE_CHANGED", metadata: {} });
    expect(refused.metadata).not.toHaveProperty("total_minor_units");
    expect(await countOrders()).toBe(0);
  });

  it("with the new total when the goods alone cost more, and is good for that", async () => {
    const { place } = await quoted();
    test.shop.catalog.variants.set("SKU-1", { price: 1_100n, packed });
    await expect(place()).rejects.toMatchObject({
      reason: "PRICE_CHANGED",
      metadata: { total_minor_units: "2690", currency_code: "EUR" },
    });
    const placed = orderOf(await place({ expectedTotal: { currencyCode: "EUR", minorUnits: 2_690n } }));
    expect(placed.shippingPrice?.minorUnits).toBe(490n);
  });
});

async function quotedAgain(userId: string): Promise<{ readonly expireTime: Date }> {
  const call = test.shop.mesh.call({ user: { id: userId } });
  const { options } = await test.shop.checkout.quoteCheckout({ cartId: "", address }, call);
  const expireTime = options[0]?.expireTime;
  if (expireTime === undefined) throw new Error("an option without its expiry");
  return { expireTime };
}
