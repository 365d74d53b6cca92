import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import type { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import { implement } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { type OrderChanges, startOrderChanges } from "./changes.ts";
import type { Order } from "./domain-order.ts";
import { checkoutHandlers } from "./handlers/index.ts";
import { untilDecided } from "./handlers/until-decided.ts";
import * as store from "./store.ts";
import { fakeCarts, fakeCatalog } from "./testing/fake-shop.ts";
import { newOrder } from "./testing/orders.ts";
import { noInterference } from "./testing/partial-service.ts";
import { newBuyer, placeRequest, shippingOptions } from "./testing/shop.ts";

let database: TestDatabase;
let changes: OrderChanges;

beforeEach(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  changes = startOrderChanges({ db: database.db, log: pino({ level: "silent" }) });
});
afterEach(async () => {
  await changes.close();
  await database.close();
});

describe("waiting for an order", () => {
  it("ends at once for a caller who is gone already", async () => {
    const placed = await store.insertOrder(database.db, newOrder({ id: newId("ord") }), 60_000);
    if (placed === undefined) throw new Error("not placed");
    const watch = changes.watch(placed.id);
    const call = { deadline: systemClock.now().getTime() + 60_000, signal: AbortSignal.abort() };
    expect(await untilDecided({ answerMarginMs: 0, cartMs: 0 }, { watch, placed, call })).toBe(placed);
    watch.close();
  });

  it("ends soon when nobody clears the cart, however much time the caller has", async () => {
    const placed = await store.insertOrder(database.db, newOrder({ id: newId("ord") }), 60_000);
    if (placed === undefined) throw new Error("not placed");
    const confirmed: Order = { ...placed, state: "CONFIRMED", step: "clear_cart" };
    const watch = changes.watch(placed.id);
    const call = { deadline: systemClock.now().getTime() + 3_600_000, signal: new AbortController().signal };
    expect(await untilDecided({ answerMarginMs: 0, cartMs: 0 }, { watch, placed: confirmed, call })).toBe(confirmed);
    watch.close();
  });
});

describe("placing an order when too many calls watch", () => {
  const user = newBuyer();
  let mesh: TestMesh;
  let request: PlaceOrderRequest;
  let places = 0;

  beforeEach(async () => {
    const interference = noInterference();
    const cart = fakeCarts(interference);
    cart.items.set(`cart_${user.id}`, new Map([["SKU-1", 1n]]));
    const catalog = fakeCatalog(interference);
    catalog.variants.set("SKU-1", { price: 1_000n });
    request = placeRequest(user, { cart, catalog, clock: systemClock });
    const full: OrderChanges = {
      ...changes,
      watch: () => {
        throw meshFailure("OVERLOADED", "Too many calls watch.");
      },
    };
    const runner = {
      admit: () => {
        places += 1;
        const leave = () => {
          places -= 1;
        };
        return { start: leave, cancel: leave };
      },
      offerToken: () => {},
      forgetToken: () => {},
      wake: () => {},
      close: async () => {},
    };
    const errands = { wake: () => {}, close: async () => {} };
    const deps = {
      errands,
      db: database.db,
      clock: systemClock,
      newId,
      options: shippingOptions,
      changes: full,
      runner,
    };
    const settings = { currencyCode: "EUR", leaseMs: 60_000, cartMs: 1_000, answerMarginMs: 100 };
    mesh = await startTestMesh({
      cart: () => [cart.service],
      catalog: () => [catalog.service],
      orders: (node) => {
        const clients = {
          cart: node.client(CartService),
          catalog: node.client(CatalogService),
          shipping: node.client(ShippingService),
        };
        return [implement(CheckoutService, checkoutHandlers({ ...deps, ...settings, ...clients }))];
      },
    });
  });
  afterEach(() => mesh.close());

  it("keeps no place for the order that it does not place", async () => {
    const checkout = mesh.mesh("gateway").client(CheckoutService);
    const placing = checkout.placeOrder(request, mesh.call({ user }));
    await expect(placing).rejects.toMatchObject({ reason: "OVERLOADED" });
    expect(places).toBe(0);
    expect(await database.db.query("select id from orders")).toEqual([]);
  });
});
