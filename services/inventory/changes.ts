import type { Logger } from "pino";
import { type Changes, startChanges, type Versioned } from "#mesh/changes.ts";
import type { Database } from "#mesh/postgres/index.ts";
import * as store from "./store.ts";

/** A stock that is watched, by its SKU. */
export type WatchedStock = store.StockRow & Versioned;

/** Tells who watches when a stock changes, whichever process changed it. */
export type StockChanges = Pick<Changes<WatchedStock>, "changed" | "watchAll" | "close">;

/** Starts the watch. */
export function startStockChanges({
  db,
  ...options
}: {
  readonly db: Database;
  readonly log: Pick<Logger, "warn">;
  readonly intervalMs?: number;
}): StockChanges {
  const read = async (known: readonly Versioned[]): Promise<readonly WatchedStock[]> => {
    const rows = await store.getChangedStock(db, known);
    return rows.map((row) => ({ ...row, id: row.sku }));
  };
  return startChanges({ name: "stock", read, ...options });
}
