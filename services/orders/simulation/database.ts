import type { Database, Queryable } from "#mesh/postgres/index.ts";
import type { HistoryEntry, Order } from "../domain-order.ts";
import type { NewOrder } from "../store.ts";
import type { Guard, Moved } from "../store-saga.ts";
import type { OrdersTable } from "./table.ts";
import type { Party, World } from "./world.ts";

/** How long a process waits for the database. */
const STATEMENT_TIMEOUT_MS = 10_000;

/**
 * A process's way to the tables. What stands below takes the place of `store.ts` and `store-saga.ts`, by the same names,
 * so that `drive.ts` runs as it is.
 */
export class SimulatedDatabase implements Database {
  readonly #world: World;
  readonly #table: OrdersTable;
  readonly #from: Party;
  readonly #server: Party;

  constructor(parts: {
    readonly world: World;
    readonly table: OrdersTable;
    readonly from: Party;
    readonly server: Party;
  }) {
    this.#world = parts.world;
    this.#table = parts.table;
    this.#from = parts.from;
    this.#server = parts.server;
  }

  /** One statement or transaction: it comes to be as a whole or not at all, and its answer can be lost. */
  run<T>(what: string, effect: (table: OrdersTable) => T): Promise<T> {
    const ask = { from: this.#from, to: this.#server, what, timeoutMs: STATEMENT_TIMEOUT_MS, once: true };
    return this.#world.ask(ask, () => effect(this.#table));
  }

  query(text: string): Promise<never> {
    throw new Error(`no statement of the simulation: ${text}`);
  }
  transaction(): Promise<never> {
    throw new Error("the simulation has no transactions");
  }
  session(): Promise<never> {
    throw new Error("the simulation has no sessions");
  }
  oldestWaitMs(): number {
    return 0;
  }
  async close(): Promise<void> {}
}

function on<T>(db: Queryable, what: string, effect: (table: OrdersTable) => T): Promise<T> {
  if (!(db instanceof SimulatedDatabase)) throw new TypeError("not a database of the simulation");
  return db.run(what, effect);
}

export function insertOrder(db: Queryable, order: NewOrder, leaseMs: number): Promise<Order | undefined> {
  return on(db, `insert ${order.id}`, (table) => table.insertOrder(order, leaseMs));
}

export function findByRequest(db: Queryable, key: { readonly customerId: string; readonly requestId: string }) {
  return on(db, `find the order of ${key.requestId}`, (table) => table.findByRequest(key));
}

export function getOrder(db: Queryable, id: string): Promise<Order | undefined> {
  return on(db, `read ${id}`, (table) => table.getOrder(id));
}

export function advanceOrder(
  db: Queryable,
  from: Guard & Pick<Order, "due">,
  moved: Moved,
): Promise<HistoryEntry | undefined> {
  const { id, fence, version } = from;
  const what = `${id} at ${version}, fence ${fence}: → ${moved.saga.state}/${moved.saga.step} (${moved.note})`;
  return on(db, what, (table) => table.advanceOrder(from, moved));
}

export function recordFailure(
  db: Queryable,
  guard: Guard,
  failure: Parameters<OrdersTable["recordFailure"]>[1],
): Promise<boolean> {
  const { id, fence, version } = guard;
  const what = `${id} at ${version}, fence ${fence}: failed ${failure.attempts}×: ${failure.error}`;
  return on(db, what, (table) => table.recordFailure(guard, failure));
}

export function letGo(db: Queryable, guard: Pick<Guard, "id" | "fence">): Promise<void> {
  return on(db, `let go of ${guard.id} at fence ${guard.fence}`, (table) => table.letGo(guard));
}

export function claimDueOrders(
  db: Queryable,
  options: { readonly limit: number; readonly leaseMs: number },
): Promise<readonly Order[]> {
  return on(db, "claim due orders", (table) => table.claimDueOrders(options));
}

export function claimForTokens(
  db: Queryable,
  options: { readonly ids: readonly string[]; readonly limit: number; readonly leaseMs: number },
): Promise<readonly Order[]> {
  return on(db, `claim for a token: ${options.ids.join(", ")}`, (table) => table.claimForTokens(options));
}
