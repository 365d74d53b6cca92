import type { Logger } from "pino";
import { type Changes, startChanges, type Watch } from "#mesh/changes.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Order } from "./domain-order.ts";
import * as store from "./store.ts";

/** Tells who waits when an order changes, whichever process changed it. */
export type OrderChanges = Pick<Changes<Order>, "publish" | "watch" | "close">;

/** One call's view on one order. */
export type OrderWatch = Watch<Order>;

/** Starts the watch. */
export function startOrderChanges({
  db,
  ...options
}: {
  readonly db: Database;
  readonly log: Logger;
  readonly intervalMs?: number;
}): OrderChanges {
  return startChanges({ name: "orders", read: (known) => store.getChangedOrders(db, known), ...options });
}
