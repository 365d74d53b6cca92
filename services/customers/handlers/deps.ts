import type { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { ErasureRunner } from "../erasure-runner.ts";
import type { Holder } from "../holders.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly orders: Client<typeof OrderService>;
  readonly holders: readonly Holder[];
  readonly erasures: Pick<ErasureRunner, "wake">;
}
