import { CustomerService } from "#gen/shop/customers/v1/customer_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { type Implementation, implement } from "#mesh/contract/contract.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type ErasureTimings, startErasures } from "./erasure-runner.ts";
import { customerHandlers } from "./handlers/index.ts";
import { holdersBy } from "./holders.ts";

export interface CustomersParts {
  readonly mesh: Pick<Mesh, "client" | "background" | "log" | "clock">;
  readonly db: Database;
  readonly newId: (prefix: string) => string;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly timings?: ErasureTimings;
}

/** Joins the parts of the service, and starts to move on the erasures that wait. The database stays its owner's. */
export function startCustomers({ mesh, db, newId, random, timings }: CustomersParts): {
  readonly implementations: readonly Implementation[];
  close(): Promise<void>;
} {
  const { clock, log, background } = mesh;
  const holders = holdersBy(mesh);
  const erasures = startErasures({ db, clock, log, background, holders, random, timings });
  const orders = mesh.client(OrderService);
  const handlers = customerHandlers({ db, clock, newId, orders, holders, erasures });
  return { implementations: [implement(CustomerService, handlers)], close: () => erasures.close() };
}
