import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { startOrderChanges } from "./changes.ts";
import { startErrands } from "./errands.ts";
import { checkoutHandlers, orderHandlers } from "./handlers/index.ts";
import { defaultRunnerTimings, type RunnerTimings, startSagaRunner } from "./runner.ts";
import { startShipmentFeed } from "./shipment-feed.ts";
import type { ShippingOptions } from "./shipping-options.ts";
import { createSteps } from "./steps.ts";

/** How long before its caller's deadline PlaceOrder answers at the latest, so that the answer arrives in time. */
const ANSWER_MARGIN_MS = 150;

export interface OrdersParts {
  readonly mesh: Pick<Mesh, "client" | "background" | "log" | "clock">;
  readonly db: Database;
  readonly options: ShippingOptions;
  readonly newId: (prefix: string) => string;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly currencyCode: string;
  readonly timings?: RunnerTimings;
  readonly answerMarginMs?: number;
}

/** Joins the parts of the service, and starts to move on the orders that wait. The database stays its owner's. */
export function startOrders(parts: OrdersParts): {
  readonly implementations: readonly Implementation[];
  close(): Promise<void>;
} {
  const { mesh, db, options, newId, random, currencyCode, timings = defaultRunnerTimings } = parts;
  const { answerMarginMs = ANSWER_MARGIN_MS } = parts;
  const { log, clock } = mesh;
  const cart = mesh.client(CartService);
  const changes = startOrderChanges({ db, log });
  const [shipping, notifications] = [mesh.client(ShippingService), mesh.client(NotificationService)];
  const { background } = mesh;
  const intervalMs = timings.claimIntervalMs;
  const errands = startErrands({ db, log, shipping, notifications, background, random, intervalMs });
  const perform = createSteps({
    cart,
    inventory: mesh.client(InventoryService),
    payments: mesh.client(PaymentService),
    shipping,
    cartMs: timings.cartMs,
    background,
  });
  const runner = startSagaRunner({ db, log, changes, perform, errandsWritten: errands.wake, random, timings });
  const moved = (): void => {
    runner.wake();
    errands.wake();
  };
  const feed = startShipmentFeed({ db, log, shipping, background, changes, newId, moved, timings });
  const catalog = mesh.client(CatalogService);
  const { leaseMs, cartMs } = timings;
  const deps = {
    db,
    clock,
    newId,
    cart,
    catalog,
    shipping,
    options,
    changes,
    runner,
    errands,
    currencyCode,
    leaseMs,
    cartMs,
    answerMarginMs,
  };
  return {
    implementations: [implement(CheckoutService, checkoutHandlers(deps)), implement(OrderService, orderHandlers(deps))],
    close: async () => {
      await feed.close();
      await Promise.all([runner.close(), errands.close()]);
      await changes.close();
    },
  };
}
