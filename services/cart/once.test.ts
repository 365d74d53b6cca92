import { afterAll, beforeAll } from "vitest";
import type { Cart } from "#gen/shop/cart/v1/cart.ts";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { type Caller, person, testOnce, workload } from "#testing/once.ts";
import { shoppersOf, startTestCarts, type TestCarts } from "./testing/cart.ts";

let carts: TestCarts;
beforeAll(async () => {
  carts = await startTestCarts();
});
afterAll(() => carts?.close());

const { add, as, client, person: shopper, quantities } = shoppersOf(() => carts);
const callers = () => [person(), person()] as const;
const userOf = ({ user }: Caller) => user ?? {};
const inCart = (caller: Caller) => () => quantities(userOf(caller));

/** A replay, too, shows the cart as it is then. */
const answer = ({ cart }: { readonly cart: Cart | undefined }) => cart?.id;

const MOTOR = { cartId: "", sku: "MOTOR" };

testOnce(CartService, () => carts.mesh, {
  addItem: {
    callers,
    prepare: async (caller, requestId) => {
      const request = { requestId, ...MOTOR, quantity: 2n };
      return {
        request,
        other: () => ({ ...request, quantity: 3n }),
        effect: inCart(caller),
        once: { MOTOR: 2n },
      };
    },
  },
  updateItem: {
    callers,
    answer,
    prepare: async (caller, requestId) => {
      await add(userOf(caller), "MOTOR");
      const request = { requestId, ...MOTOR, quantity: 7n };
      return {
        request,
        other: () => ({ ...request, quantity: 8n }),
        meanwhile: () => client().updateItem({ ...request, requestId: newId("req"), quantity: 9n }, as(userOf(caller))),
        effect: inCart(caller),
        once: { MOTOR: 7n },
      };
    },
  },
  removeItem: {
    callers,
    answer,
    prepare: async (caller, requestId) => {
      await add(userOf(caller), "MOTOR");
      await add(userOf(caller), "GEAR");
      const request = { requestId, ...MOTOR };
      return {
        request,
        other: () => ({ ...request, sku: "GEAR" }),
        meanwhile: () => add(userOf(caller), "MOTOR"),
        effect: inCart(caller),
        once: { GEAR: 1n },
      };
    },
  },
  clearCart: {
    callers,
    prepare: async (caller, requestId) => {
      await add(userOf(caller), "MOTOR", 100n);
      const request = { requestId, cartId: "", items: [{ sku: "MOTOR", quantity: 1n }] };
      return {
        request,
        other: () => ({ ...request, items: [] }),
        effect: inCart(caller),
        once: { MOTOR: 99n },
      };
    },
  },
  mergeCarts: {
    callers,
    answer,
    prepare: async (caller, requestId) => {
      const [guest, another] = [shopper("guest"), shopper("guest")];
      await add(guest, "MOTOR", 2n);
      await add(another, "GEAR");
      const request = { requestId, guestAccessToken: carts.mesh.token(guest) };
      return {
        request,
        other: () => ({ ...request, guestAccessToken: carts.mesh.token(another) }),
        meanwhile: () => add(guest, "MOTOR", 5n),
        effect: async () => [await quantities(userOf(caller)), await quantities(guest), await quantities(another)],
        once: [{ MOTOR: 2n }, {}, { GEAR: 1n }],
      };
    },
  },
  eraseCustomerData: {
    callers: () => [workload("customers")],
    prepare: async (_, requestId) => {
      const [user, another] = [shopper(), shopper()];
      await add(user, "MOTOR");
      await add(another, "MOTOR");
      const request = { requestId, customerId: user.id ?? "" };
      return {
        request,
        other: () => ({ ...request, customerId: another.id ?? "" }),
        effect: async () => [await quantities(user), await quantities(another)],
        once: [{}, { MOTOR: 1n }],
      };
    },
  },
});
