import type { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import type { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { OrderChanges } from "../changes.ts";
import type { Errands } from "../errands.ts";
import type { SagaRunner } from "../runner.ts";
import type { ShippingOptions } from "../shipping-options.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly cart: Client<typeof CartService>;
  readonly catalog: Client<typeof CatalogService>;
  readonly shipping: Client<typeof ShippingService>;
  readonly options: ShippingOptions;
  readonly changes: OrderChanges;
  readonly runner: SagaRunner;
  readonly errands: Errands;
  /** The one currency the shop sells in. */
  readonly currencyCode: string;
  /** How long a process holds an order without a sign of life. */
  readonly leaseMs: number;
  /** How long the cart of an accepted order may take while its buyer waits. */
  readonly cartMs: number;
  /** How long before its caller's deadline PlaceOrder answers at the latest, so that the answer arrives in time. */
  readonly answerMarginMs: number;
}
