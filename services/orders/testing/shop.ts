import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import type { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { type Clock, systemClock } from "#mesh/clock.ts";
import type { Client } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { User } from "#mesh/rpc/call.ts";
import { SEALING_KEY_BYTES } from "#mesh/sealed-value.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type OrderChanges, startOrderChanges } from "../changes.ts";
import type { Order } from "../domain-order.ts";
import type { RunnerTimings } from "../runner.ts";
import { startOrders } from "../service.ts";
import { createShippingOptions } from "../shipping-options.ts";
import { getOrder } from "../store.ts";
import { type FakeInventory, fakeInventory } from "./fake-inventory.ts";
import { type FakeNotifications, fakeNotifications } from "./fake-notifications.ts";
import { type FakePayments, fakePayments } from "./fake-payments.ts";
import { type FakeShipping, fakeShipping, rateIdOf, standardPrice } from "./fake-shipping.ts";
import { type FakeCarts, type FakeCatalog, fakeCarts, fakeCatalog, packedOf } from "./fake-shop.ts";
import { type Interference, noInterference } from "./partial-service.ts";

/** The orders service over real sockets, with the services that it calls in memory. */
export interface TestShop {
  readonly mesh: TestMesh;
  readonly cart: FakeCarts;
  readonly catalog: FakeCatalog;
  readonly inventory: FakeInventory;
  readonly payments: FakePayments;
  readonly shipping: FakeShipping;
  readonly notifications: FakeNotifications;
  readonly interference: Interference;
  /** As callers from outside reach it. */
  readonly checkout: Client<typeof CheckoutService>;
  readonly orders: Client<typeof OrderService>;
  /** Puts these units into the cart of a user, and makes sure that they are for sale at 10.00 each, ten in stock. */
  fillCart(userId: string, items: Readonly<Record<string, bigint>>): void;
  /**
   * A request to buy what is in the cart of a user, with the way to send it that QuoteCheckout would give them now, and
   * the total of one unit for 10.00 and 4.90.
   */
  placeRequest(user: { readonly id: string }, changes?: Partial<PlaceOrderRequest>): PlaceOrderRequest;
  /** Lets time pass for the service. */
  later(ms: number): void;
  /** A second process of the service, on the same database; it serves nobody, and moves orders on. */
  startAnother(): { close(): Promise<void> };
  /** Follows an order in the database until it is as wished, whichever process moves it. */
  until(orderId: string, wished: (order: Order) => boolean): Promise<Order>;
  /** Ends the service alone, as a process ends that is told to. */
  closeOrders(): Promise<void>;
  close(): Promise<void>;
}

/** Short, so that tests do not wait; a lease outlives a test unless the test takes it away. */
export const testTimings: RunnerTimings = {
  leaseMs: 60_000,
  tokenWaitMs: 50,
  tokenMs: 60_000,
  cartMs: 1_000,
  inlineBackoffMs: 50,
  claimIntervalMs: 25,
  feedLeaseMs: 3_000,
  feedIntervalMs: 25,
  closeMs: 100,
};

const UNIT_PRICE = 1_000n;

/** Calls of tests have ten seconds; with this margin PlaceOrder waits for so long only, and answers in good time. */
export const answerAfterMs = (waitMs: number): { readonly answerMarginMs: number } => ({
  answerMarginMs: 10_000 - waitMs,
});

/** How long the options of `placeRequest` are good. */
const OPTION_LIFETIME_MS = 30 * 60_000;

/** Nothing that a test waits for takes longer. */
const WAIT_LIMIT_MS = 15_000;

export async function startTestShop(
  db: Database,
  options: { readonly timings?: Partial<RunnerTimings>; readonly answerMarginMs?: number } = {},
): Promise<TestShop> {
  const interference = noInterference();
  const cart = fakeCarts(interference);
  const catalog = fakeCatalog(interference);
  const inventory = fakeInventory(interference);
  const payments = fakePayments(interference);
  const { clock, later } = lateClock();
  const shipping = fakeShipping(interference, clock.now);
  const notifications = fakeNotifications(interference);
  const timings = { ...testTimings, ...options.timings };
  const services: { close(): Promise<void> }[] = [];
  const start = ({ client, background, log }: Parameters<typeof startOrders>[0]["mesh"]) => {
    const { answerMarginMs } = options;
    const mesh = { client, background, log, clock };
    const settings = { options: shippingOptions, currencyCode: "EUR", timings, answerMarginMs };
    const started = startOrders({ mesh, db, newId, random: () => 0.5, ...settings });
    services.push(started);
    return started;
  };
  const mesh = await startTestMesh({
    cart: () => [cart.service],
    catalog: () => [catalog.service],
    inventory: () => [inventory.service],
    payments: () => [payments.service],
    shipping: () => [shipping.service],
    notifications: () => [notifications.service],
    orders: (node) => start(node).implementations,
  });
  const gateway = mesh.mesh("gateway");
  const changes = startOrderChanges({ db, log: gateway.log, intervalMs: 20 });
  const closeOrders = async (): Promise<void> => {
    await Promise.all(services.splice(0).map((service) => service.close()));
  };
  return {
    mesh,
    cart,
    catalog,
    inventory,
    payments,
    shipping,
    notifications,
    interference,
    checkout: gateway.client(CheckoutService),
    orders: gateway.client(OrderService),
    fillCart: fillCart({ cart, catalog, inventory }),
    placeRequest: (user, changes) => placeRequest(user, { cart, catalog, clock }, changes),
    later,
    startAnother: () => start(mesh.mesh("orders")),
    until: follow(db, changes),
    closeOrders,
    close: async () => {
      await closeOrders();
      await changes.close();
      await mesh.close();
    },
  };
}

const fillCart =
  ({ cart, catalog, inventory }: Pick<TestShop, "cart" | "catalog" | "inventory">): TestShop["fillCart"] =>
  (userId, items) => {
    cart.items.set(`cart_${userId}`, new Map(Object.entries(items)));
    for (const sku of Object.keys(items)) {
      if (!catalog.variants.has(sku)) catalog.variants.set(sku, { price: UNIT_PRICE });
      if (!inventory.available.has(sku)) inventory.available.set(sku, 10n);
    }
  };

/** The machine's clock, which a test puts forward. */
function lateClock(): { readonly clock: Clock; later(ms: number): void } {
  let lateMs = 0;
  return {
    clock: { now: () => new Date(systemClock.now().getTime() + lateMs) },
    later: (ms) => {
      lateMs += ms;
    },
  };
}

const follow =
  (db: Database, changes: OrderChanges): TestShop["until"] =>
  async (orderId, wished) => {
    const watch = changes.watch(orderId);
    try {
      for (let order = await getOrder(db, orderId); order !== undefined; ) {
        if (wished(order)) return order;
        order = await watch.next(order.version, AbortSignal.timeout(WAIT_LIMIT_MS));
      }
      throw new Error(`the order ${orderId} did not come to what the test waits for`);
    } finally {
      watch.close();
    }
  };

/** A buyer with an id of their own. */
export function newBuyer(): Partial<User> & { readonly id: string } {
  return { id: newId("usr") };
}

/** What the ids of quoted options are sealed with in these tests. */
export const shippingOptions = createShippingOptions(new Uint8Array(SEALING_KEY_BYTES));

interface Shelves {
  readonly cart: FakeCarts;
  readonly catalog: FakeCatalog;
  readonly clock: Clock;
}

/** The id that QuoteCheckout would give for sending a user's cart as standard. */
function optionIdFor(userId: string, { cart, catalog, clock }: Shelves): string {
  const priced = [...(cart.items.get(`cart_${userId}`) ?? [])].map(([sku, quantity]) => {
    const variant = catalog.variants.get(sku) ?? { price: 0n };
    return { sku, quantity, packed: packedOf(variant), lineTotal: variant.price * quantity };
  });
  const minorUnits = standardPrice(priced.reduce((sum, { lineTotal }) => sum + lineTotal, 0n));
  return shippingOptions.seal(
    { customerId: userId, goods: priced, address },
    {
      rateId: rateIdOf("standard"),
      option: { id: "standard", title: "Standard", price: { currencyCode: "EUR", minorUnits }, minDays: 2, maxDays: 4 },
      expireTime: new Date(clock.now().getTime() + OPTION_LIFETIME_MS),
    },
  );
}

/** Where the goods of these tests go. */
export const address = {
  recipient: "Ada Buyer",
  lines: ["Street 1"],
  city: "Berlin",
  postalCode: "10115",
  region: "",
  countryCode: "DE",
  phone: "",
};

/** See `TestShop.placeRequest`. */
export function placeRequest(
  user: { readonly id: string },
  shelves: Shelves,
  changes: Partial<PlaceOrderRequest> = {},
): PlaceOrderRequest {
  return {
    requestId: newId("req"),
    cartId: "",
    email: "buyer@example.com",
    address,
    paymentToken: "tok_visa",
    expectedTotal: { currencyCode: "EUR", minorUnits: 1_490n },
    shippingOptionId: optionIdFor(user.id, shelves),
    ...changes,
  };
}

/** Whether nothing more happens to the order by itself. */
export function isAtRest({ step }: Order): boolean {
  return step === "done";
}

/** A door that a test opens. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
