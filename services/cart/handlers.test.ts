import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CartView } from "#gen/shop/cart/v1/cart.ts";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import type { User } from "#mesh/rpc/call.ts";
import { shoppersOf, startTestCarts, type TestCarts } from "./testing/cart.ts";

let carts: TestCarts;
beforeAll(async () => {
  carts = await startTestCarts();
});
afterAll(() => carts?.close());

const { add, as, client, get, person, quantities } = shoppersOf(() => carts);

describe("a cart", () => {
  test("is there from the first call on, empty", async () => {
    const guest = person("guest");
    const cart = await get(guest);
    expect(cart).toMatchObject({ ownerId: guest.id, lines: [], subtotal: { currencyCode: "EUR", minorUnits: 0n } });
    expect(cart.id).toMatch(/^cart_/);
  });

  test("has the catalogue's prices at the time of reading", async () => {
    const user = person();
    await add(user, "MOTOR", 2n);
    carts.prices.set("MOTOR", 10_000n);
    const result = await add(user, "GEAR");
    carts.prices.set("MOTOR", 12_900n);
    if (!result.ok) throw result.error;
    expect(result.value.cart?.subtotal?.minorUnits).toBe(28_450n);
    expect(await get(user)).toMatchObject({
      lines: [
        { sku: "MOTOR", title: "Product MOTOR, 24 V", lineTotal: { minorUnits: 25_800n } },
        { sku: "GEAR", unitPrice: { minorUnits: 8_450n } },
      ],
      subtotal: { minorUnits: 34_250n },
    });
  });

  test("shows what is no longer for sale without counting it", async () => {
    const user = person();
    await add(user, "GEAR");
    carts.prices.set("GEAR", -1n);
    const cart = await get(user);
    carts.prices.set("GEAR", 8_450n);
    expect(cart.subtotal?.minorUnits).toBe(0n);
    expect(cart.lines[0]).toMatchObject({ sku: "GEAR", unitPrice: undefined });
  });

  test("of somebody else is not found, to read or to change", async () => {
    const [owner, other] = [person(), person()];
    await add(owner, "MOTOR");
    const { id } = await get(owner);
    const read = await client().try.getCart({ cartId: id, view: CartView.PRICED }, as(other));
    expect(read).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "CART_NOT_FOUND" } });
    const change = await client().try.addItem(
      { requestId: newId("req"), cartId: id, sku: "GEAR", quantity: 1n },
      as(other),
    );
    expect(change).toMatchObject({ ok: false, error: { reason: "CART_NOT_FOUND" } });
    expect(await quantities(owner)).toEqual({ MOTOR: 1n });
  });

  test("wants a token", async () => {
    const result = await client().try.getCart({ cartId: "", view: CartView.PRICED }, carts.mesh.call());
    expect(result).toMatchObject({ ok: false, error: { code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" } });
  });
});

describe("adding", () => {
  test.each([
    ["NOWHERE", "NOT_FOUND", "UNKNOWN_SKU"],
    ["OLD", "FAILED_PRECONDITION", "NOT_FOR_SALE"],
  ])("%s is refused as %s %s, and changes nothing", async (sku, code, reason) => {
    const user = person();
    expect(await add(user, sku)).toMatchObject({ ok: false, error: { code, reason, metadata: { sku } } });
    expect(await quantities(user)).toEqual({});
  });

  test("the 101st line and the 10,001st unit are refused", async () => {
    const user = person();
    for (let at = 0; at < 100; at += 1) await add(user, `BULK-${at}`);
    expect(await add(user, "BULK-100")).toMatchObject({ ok: false, error: { reason: "CART_FULL" } });
    expect(await add(user, "BULK-7", 9_999n)).toMatchObject({ ok: true });
    expect(await add(user, "BULK-7", 1n)).toMatchObject({
      ok: false,
      error: { reason: "QUANTITY_LIMIT", metadata: { quantity: "10000" } },
    });
  });

  test("asks the catalogue once, for one line or for many", async () => {
    const user = person();
    for (let at = 0; at < 20; at += 1) await add(user, `BULK-${at}`);
    const before = carts.catalogCalls();
    await add(user, "MOTOR");
    expect(carts.catalogCalls() - before).toBe(1);
  });

  test("thirty times at once adds up to thirty", async () => {
    const user = person();
    await Promise.all(Array.from({ length: 30 }, () => add(user, "MOTOR")));
    expect(await quantities(user)).toEqual({ MOTOR: 30n });
  });

  test("names every violation of a malformed request", async () => {
    const result = await client().try.addItem({ requestId: "x", cartId: "", sku: "", quantity: 0n }, as(person()));
    if (result.ok) throw new Error("it was admitted");
    expect(result.error.code).toBe("INVALID_ARGUMENT");
    expect(result.error.violations.map(({ field }) => field).sort()).toEqual(["quantity", "request_id", "sku"]);
  });
});

test("a line is set, taken out, and then not found", async () => {
  const user = person();
  await add(user, "MOTOR");
  const request = { requestId: newId("req"), cartId: "", sku: "MOTOR" };
  await client().updateItem({ ...request, quantity: 7n }, as(user));
  expect(await quantities(user)).toEqual({ MOTOR: 7n });
  await client().removeItem({ ...request, requestId: newId("req") }, as(user));
  const gone = await client().try.removeItem({ ...request, requestId: newId("req") }, as(user));
  expect(gone).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "ITEM_NOT_FOUND" } });
  const set = await client().try.updateItem({ ...request, requestId: newId("req"), quantity: 1n }, as(user));
  expect(set).toMatchObject({ ok: false, error: { reason: "ITEM_NOT_FOUND" } });
});

test("orders takes out of a cart what was ordered, and leaves what came after", async () => {
  const user = person();
  await add(user, "MOTOR", 3n);
  await add(user, "GEAR", 1n);
  const { id } = await get(user);
  const mesh = carts.mesh.mesh("orders");
  const request = { requestId: newId("req"), cartId: id, items: [{ sku: "MOTOR", quantity: 2n }] };
  for (let copy = 0; copy < 2; copy += 1) {
    await mesh.client(CartService).clearCart(request, mesh.background({ name: "clear", timeoutMs: 5_000 }));
  }
  expect(await quantities(user)).toEqual({ MOTOR: 1n, GEAR: 1n });
  await client().clearCart({ requestId: newId("req"), cartId: "", items: [] }, as(user));
  expect(await quantities(user)).toEqual({});
});

describe("merging", () => {
  const merge = (user: Partial<User>, guestAccessToken: string, requestId = newId("req")) =>
    client().try.mergeCarts({ requestId, guestAccessToken }, as(user));

  test("moves a guest's lines into the customer's cart, once", async () => {
    const [customer, guest] = [person(), person("guest")];
    await add(customer, "MOTOR", 1n);
    await add(guest, "MOTOR", 2n);
    await add(guest, "GEAR", 1n);
    const requestId = newId("req");
    const token = carts.mesh.token(guest);
    const results = await Promise.all(Array.from({ length: 10 }, () => merge(customer, token, requestId)));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(await quantities(customer)).toEqual({ MOTOR: 3n, GEAR: 1n });
    expect(await quantities(guest)).toEqual({});
  });

  test("leaves in the guest's cart what finds no room, and names it", async () => {
    const [customer, guest] = [person(), person("guest")];
    for (let at = 0; at < 100; at += 1) await add(customer, `BULK-${at}`);
    await add(guest, "MOTOR");
    expect(await merge(customer, carts.mesh.token(guest))).toMatchObject({ ok: true, value: { leftSkus: ["MOTOR"] } });
    expect(await quantities(guest)).toEqual({ MOTOR: 1n });
  });

  test("leaves in the guest's cart the units over a line's limit, and names their SKU", async () => {
    const [customer, guest] = [person(), person("guest")];
    await add(customer, "MOTOR", 9_000n);
    await add(guest, "MOTOR", 9_000n);
    const requestId = newId("req");
    const token = carts.mesh.token(guest);
    for (let copy = 0; copy < 2; copy += 1) {
      expect(await merge(customer, token, requestId)).toMatchObject({ ok: true, value: { leftSkus: ["MOTOR"] } });
    }
    expect(await quantities(customer)).toEqual({ MOTOR: 10_000n });
    expect(await quantities(guest)).toEqual({ MOTOR: 8_000n });
  });

  test.each([
    ["a customer's token", () => carts.mesh.token(person())],
    ["an expired token", () => carts.mesh.token(person("guest"), { lifetimeMs: -60_000 })],
    ["no token at all", () => "nonsense"],
  ])("with %s is refused", async (_, token) => {
    expect(await merge(person(), token())).toMatchObject({
      ok: false,
      error: { code: "INVALID_ARGUMENT", reason: "GUEST_TOKEN_INVALID" },
    });
  });

  test("is not for guests", async () => {
    const result = await merge(person("guest"), carts.mesh.token(person("guest")));
    expect(result).toMatchObject({ ok: false, error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" } });
  });
});
