import type { Database } from "#mesh/postgres/index.ts";
import { holdLocks } from "#testing/locks.ts";

/** Holds the stock of a SKU from outside, so that whoever wants to change it waits half-way. */
export function holdStock(db: Database, sku: string): Promise<{ release(): Promise<void> }> {
  return holdLocks(db, "select 1 from stock where sku = $1 for update", [sku]);
}
