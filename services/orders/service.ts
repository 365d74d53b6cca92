import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { startOrderChanges } from "./changes.ts";
import { checkoutHandlers, orderHandlers } from "./handlers/index.ts";
import { defaultRunnerTimings, type RunnerTimings, startSagaRunner } from "./runner.ts";
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
  const perform = createSteps({
    cart,
    inventory: mesh.client(InventoryService),
    payments: mesh.client(PaymentService),
    cartMs: timings.cartMs,
    background: mesh.background,
  });
  const runner = startSagaRunner({ db, log, changes, perform, random, timings });
  const catalog = mesh.client(CatalogService);
  const { leaseMs, cartMs } = timings;
  const deps = {
    db,
    clock,
    newId,
    cart,
    catalog,
    shipping: mesh.client(ShippingService),
    options,
    changes,
    runner,
    currencyCode,
    leaseMs,
    cartMs,
    answerMarginMs,
  };
  return {
    implementations: [implement(CheckoutService, checkoutHandlers(deps)), implement(OrderService, orderHandlers(deps))],
    close: async () => {
      await runner.close();
      await changes.close();
    },
  };
}
