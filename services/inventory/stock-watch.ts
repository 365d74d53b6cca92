import type { Logger } from "pino";
import type { Database } from "#mesh/postgres/index.ts";
import * as store from "./store.ts";

/** How long a change made by another instance takes to be seen, at the most. This instance's own are seen at once. */
const WATCH_INTERVAL_MS = 500;
/** How many streams one process serves at once. */
const MAX_WATCHERS = 5_000;
/** How many different SKUs they may watch together: all are read at every interval. */
const MAX_SKUS = 5_000;
/** How many of them one statement reads. */
const READ_BATCH = 1_000;

/** Tells watchers of changed stock. One reader of the database serves all of them, and none when there are none. */
export interface StockWatch {
  /** Says that this process changed the stock of these SKUs. */
  changed(skus: readonly string[]): void;
  /** The stock of each SKU now and after every change, until `signal` aborts. Changes in between may be skipped. */
  follow(skus: readonly string[], signal: AbortSignal): AsyncGenerator<store.StockRow>;
  /** Ends all streams. */
  close(): Promise<void>;
}

/** One stream: the newest row of each SKU that it has not sent yet. Holds at most two rows a SKU. */
interface Watcher {
  readonly pending: Map<string, store.StockRow>;
  readonly sent: Map<string, store.StockRow>;
  wake: () => void;
}

export interface StockWatchDeps {
  readonly db: Database;
  readonly log: Logger;
  /** Makes the error for one stream too many. */
  readonly tooMany: () => Error;
}

/** Starts the watch; it reads nothing until somebody follows. */
export function startStockWatch(deps: StockWatchDeps): StockWatch {
  const watchers = new Set<Watcher>();
  const bySku = new Map<string, Set<Watcher>>();
  let closed = false;
  const reader = startReader(deps, bySku);

  const follow = async function* (skus: readonly string[], signal: AbortSignal): AsyncGenerator<store.StockRow> {
    const added = skus.filter((sku) => !bySku.has(sku)).length;
    if (watchers.size >= MAX_WATCHERS || bySku.size + added > MAX_SKUS) throw deps.tooMany();
    const watcher: Watcher = {
      pending: new Map(),
      sent: new Map(),
      wake: () => {},
    };
    const wake = (): void => watcher.wake();
    signal.addEventListener("abort", wake);
    watchers.add(watcher);
    for (const sku of skus) setOf(bySku, sku).add(watcher);
    reader.readNow();
    try {
      while (!signal.aborted && !closed) {
        const next = watcher.pending.values().next();
        if (next.done) {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
          continue;
        }
        watcher.pending.delete(next.value.sku);
        watcher.sent.set(next.value.sku, next.value);
        yield next.value;
      }
    } finally {
      signal.removeEventListener("abort", wake);
      watchers.delete(watcher);
      for (const sku of skus) leave(bySku, sku, watcher);
    }
  };

  return {
    changed: (skus) => {
      if (skus.some((sku) => bySku.has(sku))) reader.readNow();
    },
    follow,
    close: async () => {
      closed = true;
      for (const watcher of watchers) watcher.wake();
      bySku.clear();
      await reader.close();
    },
  };
}

/** Reads the stock of all that is watched, at every interval and whenever told to, and offers it to the watchers. */
function startReader(
  { db, log }: StockWatchDeps,
  bySku: ReadonlyMap<string, ReadonlySet<Watcher>>,
): { readNow(): void; close(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let again = false;

  const read = async (): Promise<void> => {
    do {
      again = false;
      try {
        const skus = [...bySku.keys()];
        for (let from = 0; from < skus.length; from += READ_BATCH) {
          const rows = await store.getStock(db, skus.slice(from, from + READ_BATCH));
          for (const row of rows) for (const watcher of bySku.get(row.sku) ?? []) offer(watcher, row);
        }
      } catch (error) {
        log.warn({ err: error }, "the stock could not be read for its watchers; trying again");
      }
    } while (again && bySku.size > 0);
    reading = undefined;
    if (bySku.size > 0) timer = setTimeout(readNow, WATCH_INTERVAL_MS);
  };
  const readNow = (): void => {
    clearTimeout(timer);
    if (reading === undefined) reading = read();
    else again = true;
  };

  return {
    readNow,
    close: async () => {
      await reading;
      clearTimeout(timer);
    },
  };
}

function setOf(bySku: Map<string, Set<Watcher>>, sku: string): Set<Watcher> {
  const found = bySku.get(sku) ?? new Set<Watcher>();
  bySku.set(sku, found);
  return found;
}

function leave(bySku: Map<string, Set<Watcher>>, sku: string, watcher: Watcher): void {
  const rest = bySku.get(sku);
  rest?.delete(watcher);
  if (rest?.size === 0) bySku.delete(sku);
}

/** Keeps the row for the watcher unless it is what the watcher knows already. */
function offer(watcher: Watcher, row: store.StockRow): void {
  const known = watcher.pending.get(row.sku) ?? watcher.sent.get(row.sku);
  if (known?.onHand === row.onHand && known.reserved === row.reserved) return;
  watcher.pending.set(row.sku, row);
  watcher.wake();
}
