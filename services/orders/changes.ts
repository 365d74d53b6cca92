import type { Logger } from "pino";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { repeat } from "#mesh/repeat.ts";
import type { Order } from "./domain-order.ts";
import * as store from "./store.ts";

/** How long a change made by another process takes to be seen, at the most. This process's own are seen at once. */
const WATCH_INTERVAL_MS = 500;

/** How many calls of one process wait for a change at once. */
export const MAX_WATCHES = 5_000;

/** Tells who waits when an order changes, whichever process changed it. */
export interface OrderChanges {
  /** Says that this process changed the order, which now is like this. */
  publish(order: Order): void;
  /** Starts to watch; what is published from now on is not missed. Throws OVERLOADED when too many watch. */
  watch(orderId: string): OrderWatch;
  /** Ends every wait. */
  close(): Promise<void>;
}

/** One call's view on one order. */
export interface OrderWatch {
  /** The order as soon as it is newer than `version`; undefined when `signal` aborts first. One wait at a time. */
  next(version: number, signal: AbortSignal): Promise<Order | undefined>;
  /** Stops watching. */
  close(): void;
}

interface Watcher {
  readonly orderId: string;
  latest: Order | undefined;
  waiting: { readonly version: number; readonly resolve: (order: Order | undefined) => void } | undefined;
}

/** Starts the watch. One reader of the database serves all calls, and reads nothing while none waits. */
export function startOrderChanges(deps: {
  readonly db: Database;
  readonly log: Logger;
  readonly intervalMs?: number;
}): OrderChanges {
  const watchers = new Map<string, Set<Watcher>>();
  let count = 0;
  let closed = false;

  const publish = (order: Order): void => {
    for (const watcher of watchers.get(order.id) ?? []) offer(watcher, order);
  };
  const read = async (): Promise<void> => {
    const known = [...watchers.values()].flatMap(oldestWait);
    if (known.length === 0) return;
    for (const order of await store.getChangedOrders(deps.db, known)) publish(order);
  };
  const reader = repeat(
    { name: "watching orders", everyMs: deps.intervalMs ?? WATCH_INTERVAL_MS, log: deps.log },
    read,
  );

  return {
    publish,
    watch: (orderId) => {
      if (count >= MAX_WATCHES) {
        throw meshFailure("OVERLOADED", "Too many calls watch orders here.", { retryDelayMs: 1_000 });
      }
      count += 1;
      const watcher: Watcher = { orderId, latest: undefined, waiting: undefined };
      const group = watchers.get(orderId) ?? new Set();
      watchers.set(orderId, group.add(watcher));
      return {
        next: (version, signal) => (closed ? Promise.resolve(undefined) : waitFor(watcher, version, signal)),
        close: () => {
          if (!group.delete(watcher)) return;
          count -= 1;
          if (group.size === 0 && watchers.get(orderId) === group) watchers.delete(orderId);
        },
      };
    },
    close: async () => {
      closed = true;
      for (const watcher of [...watchers.values()].flatMap((group) => [...group])) watcher.waiting?.resolve(undefined);
      await reader.close();
    },
  };
}

function offer(watcher: Watcher, order: Order): void {
  if (watcher.latest !== undefined && watcher.latest.version >= order.version) return;
  watcher.latest = order;
  if (watcher.waiting !== undefined && order.version > watcher.waiting.version) watcher.waiting.resolve(order);
}

async function waitFor(watcher: Watcher, version: number, signal: AbortSignal): Promise<Order | undefined> {
  if (watcher.latest !== undefined && watcher.latest.version > version) return watcher.latest;
  if (signal.aborted) return undefined;
  let onAbort = (): void => {};
  try {
    return await new Promise<Order | undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      signal.addEventListener("abort", onAbort);
      watcher.waiting = { version, resolve };
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
    watcher.waiting = undefined;
  }
}

/** The oldest version that anybody waits past; nothing when nobody waits for this order. */
function oldestWait(group: ReadonlySet<Watcher>): readonly { readonly id: string; readonly version: number }[] {
  const waits = [...group].flatMap(({ orderId, waiting }) =>
    waiting === undefined ? [] : [{ id: orderId, version: waiting.version }],
  );
  const oldest = waits.reduce((a, b) => (a.version <= b.version ? a : b), waits[0] ?? { id: "", version: 0 });
  return waits.length === 0 ? [] : [oldest];
}
