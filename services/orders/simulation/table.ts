import type { HistoryEntry, Order } from "../domain-order.ts";
import { MAX_DUE, newSaga, type OrderState, type ReturnedLine, type Saga, stepsOf } from "../domain-saga.ts";
import type { NewOrder } from "../store.ts";
import type { Guard, Moved } from "../store-saga.ts";
import { legal } from "./legal-paths.ts";
import { Violation, type World } from "./world.ts";

/** A row of `orders`: the order, and what only the claims look at. */
export interface Row {
  readonly order: Order;
  readonly requestId: string;
  readonly requestHash: Uint8Array;
  readonly leaseUntilMs: number | undefined;
  readonly dueMs: number | undefined;
  readonly lastError: string;
}

/** A row of `order_returns`, with its lines. */
export interface ReturnRow {
  readonly id: string;
  readonly orderId: string;
  readonly lines: readonly ReturnedLine[];
  readonly refund: bigint;
  readonly state: "REQUESTED" | "RECEIVED" | "REFUNDED" | "CANCELLED";
}

/**
 * The tables of orders, in memory: each method is one statement of `store.ts` or `store-saga.ts`, with the same guards,
 * constraints and clock. A transaction of PostgreSQL is one call here, for nothing else runs meanwhile.
 */
export class OrdersTable {
  readonly rows = new Map<string, Row>();
  readonly returns = new Map<string, ReturnRow>();
  readonly hooks = { written: (): void => {} };
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  insertOrder(given: NewOrder, leaseMs: number): Order | undefined {
    const { requestId, requestHash, ...rest } = given;
    if (findByRequest(this.rows, given) !== undefined) return undefined;
    const time = this.#world.now();
    const saga = newSaga({ total: given.total, delivers: given.rateId !== "" });
    const order: Order = {
      ...rest,
      ...saga,
      history: [{ seq: 1, time, state: saga.state, actor: given.customerId, note: "placed" }],
      createTime: time,
      updateTime: time,
      version: 1,
      fence: 1n,
      attempts: 0,
    };
    const leaseUntilMs = this.#after(leaseMs);
    return this.#write(undefined, {
      order,
      requestId,
      requestHash,
      leaseUntilMs,
      dueMs: this.#world.nowMs,
      lastError: "",
    }).order;
  }

  findByRequest = (key: { readonly customerId: string; readonly requestId: string }) => findByRequest(this.rows, key);
  getOrder = (id: string): Order | undefined => this.rows.get(id)?.order;

  advanceOrder(
    guard: Guard & Pick<Order, "due">,
    { saga, actor, note, leaseMs, delayMs }: Moved,
  ): HistoryEntry | undefined {
    const row = this.#find(guard);
    if (row === undefined) return undefined;
    const atRest = saga.step === "done";
    const entry = this.#entryOf(row.order, saga, actor, note);
    this.#write(row, {
      ...row,
      order: { ...this.#withEntry(row.order, entry), ...moved(row.order, saga), attempts: 0 },
      leaseUntilMs: atRest ? undefined : this.#after(leaseMs),
      dueMs: atRest ? undefined : this.#after(delayMs),
      lastError: "",
    });
    const settled = guard.due.length > saga.due.length ? this.returns.get(guard.due[0]?.returnId ?? "") : undefined;
    if (settled !== undefined) this.returns.set(settled.id, { ...settled, state: "REFUNDED" });
    return entry;
  }

  recordFailure(
    guard: Guard,
    failure: {
      readonly attempts: number;
      readonly backoffMs: number;
      readonly error: string;
      readonly leaseMs: number | undefined;
    },
  ): boolean {
    const row = this.#find(guard);
    if (row === undefined) return false;
    this.#write(row, {
      ...row,
      order: { ...row.order, attempts: failure.attempts },
      leaseUntilMs: this.#after(failure.leaseMs),
      dueMs: this.#after(failure.backoffMs),
      lastError: failure.error,
    });
    return true;
  }

  letGo({ id, fence }: Pick<Guard, "id" | "fence">): void {
    const row = this.rows.get(id);
    if (row === undefined || row.order.fence !== fence || row.order.step === "done") return;
    this.#write(row, { ...row, leaseUntilMs: undefined, dueMs: this.#world.nowMs });
  }

  claimDueOrders({ limit, leaseMs }: { readonly limit: number; readonly leaseMs: number }): readonly Order[] {
    const due = [...this.rows.values()].filter(this.#isDue).sort((a, b) => (a.dueMs ?? 0) - (b.dueMs ?? 0));
    return due.slice(0, limit).map((row) => {
      const died = row.leaseUntilMs !== undefined;
      const { fence, attempts } = row.order;
      return this.#write(row, {
        ...row,
        order: { ...row.order, fence: fence + 1n, attempts: attempts + (died ? 1 : 0) },
        lastError: died ? "the process that held the order stopped" : row.lastError,
        leaseUntilMs: this.#after(leaseMs),
      }).order;
    });
  }

  claimForTokens(options: {
    readonly ids: readonly string[];
    readonly limit: number;
    readonly leaseMs: number;
  }): readonly Order[] {
    const waiting = [...this.rows.values()].filter(
      (row) => options.ids.includes(row.order.id) && this.#isWaitingForToken(row),
    );
    return waiting.slice(0, options.limit).map(
      (row) =>
        this.#write(row, {
          ...row,
          order: { ...row.order, fence: row.order.fence + 1n },
          leaseUntilMs: this.#after(options.leaseMs),
        }).order,
    );
  }

  redirectOrder(
    { id }: Pick<Order, "id">,
    { saga, actor, note }: Pick<Moved, "saga" | "actor" | "note">,
  ): HistoryEntry {
    const row = this.rows.get(id);
    if (row === undefined) throw new Violation(`${id} is gone though it is locked`);
    const entry = this.#entryOf(row.order, saga, actor, note);
    const { state, step, promised, announced, withdrawn, dues, due, shipmentId } = saga;
    const same = state === row.order.state && step === row.order.step;
    const begun = step === "done" ? { dueMs: undefined, leaseUntilMs: undefined } : { dueMs: this.#world.nowMs };
    const kept = same ? {} : { ...begun, lastError: "" };
    const { attempts } = row.order;
    const changed = {
      state,
      step,
      promised,
      announced,
      withdrawn,
      dues,
      due,
      shipmentId,
      attempts: same ? attempts : 0,
    };
    this.#write(row, { ...row, ...kept, order: { ...this.#withEntry(row.order, entry), ...changed } });
    return entry;
  }

  retryNow(retry: {
    readonly id: string;
    readonly minAttempts: number;
    readonly actor: string;
    readonly note: string;
  }) {
    const row = this.rows.get(retry.id);
    if (row === undefined || row.order.step === "done" || row.order.attempts < retry.minAttempts) return false;
    const entry = this.#entryOf(row.order, row.order, retry.actor, retry.note);
    this.#write(row, { ...row, order: this.#withEntry(row.order, entry), dueMs: this.#world.nowMs });
    return true;
  }

  /** Writes a return, and how many units of each line are on their way, or here. */
  putReturn(given: ReturnRow, lines: Order["lines"]): void {
    this.returns.set(given.id, given);
    const row = this.rows.get(given.orderId);
    if (row !== undefined) this.#write(row, { ...row, order: { ...row.order, lines } });
  }

  /** When a claim finds something next, at the earliest; undefined when nothing is left to do. */
  nextDueMs(tokenIds: readonly string[]): number | undefined {
    let next: number | undefined;
    for (const row of this.rows.values()) {
      if (row.dueMs === undefined) continue;
      const forToken = this.#isWaitingForToken(row) && tokenIds.includes(row.order.id);
      const at = forToken ? this.#world.nowMs : Math.max(row.dueMs, row.leaseUntilMs ?? 0);
      next = Math.min(next ?? at, at);
    }
    return next;
  }

  readonly #write = (before: Row | undefined, row: Row): Row => {
    checkRow(row);
    if (before !== undefined) checkMove(before.order, row.order);
    this.rows.set(row.order.id, row);
    this.#world.changed = true;
    this.hooks.written();
    return row;
  };
  readonly #find = ({ id, fence, version }: Guard): Row | undefined => {
    const row = this.rows.get(id);
    return row?.order.fence === fence && row.order.version === version ? row : undefined;
  };
  readonly #after = (ms: number | undefined): number | undefined =>
    ms === undefined ? undefined : this.#world.nowMs + ms;
  readonly #isFree = ({ leaseUntilMs }: Row): boolean =>
    leaseUntilMs === undefined || leaseUntilMs <= this.#world.nowMs;
  readonly #isDue = (row: Row): boolean =>
    row.dueMs !== undefined && row.dueMs <= this.#world.nowMs && this.#isFree(row);
  readonly #entryOf = (order: Order, saga: Pick<Saga, "state">, actor: string, note: string): HistoryEntry => ({
    seq: order.version + 1,
    time: this.#world.now(),
    state: saga.state,
    actor,
    note,
  });
  readonly #withEntry = (order: Order, entry: HistoryEntry): Order => ({
    ...order,
    history: [...order.history, entry],
    version: entry.seq,
    updateTime: entry.time,
  });
  readonly #isWaitingForToken = ({ order, leaseUntilMs }: Row): boolean =>
    order.state === "PENDING" && order.step === "settle_payment" && leaseUntilMs === undefined;
}

function findByRequest(
  rows: ReadonlyMap<string, Row>,
  key: { readonly customerId: string; readonly requestId: string },
): { readonly id: string; readonly requestHash: Uint8Array } | undefined {
  for (const { order, requestId, requestHash } of rows.values()) {
    if (order.customerId === key.customerId && requestId === key.requestId) return { id: order.id, requestHash };
  }
  return undefined;
}

/** What a move writes of a saga: what else the caller's view of the order has is not written. */
function moved({ announced, withdrawn, dues, due, total, delivers }: Order, saga: Saga): Saga {
  const { state, step, holds, reservationId, paymentId, shipmentId, refunded, rejection, promised, cartCleared } = saga;
  const effects = { reservationId, paymentId, shipmentId, refunded, rejection };
  const written = { state, step, holds, ...effects, promised, cartCleared, delivers };
  const settled = saga.dues - saga.due.length;
  return { ...written, announced, withdrawn, dues, due: due.filter(({ seq }) => seq > settled), total };
}

const accepted: readonly OrderState[] = ["CONFIRMED", "PAID", "SHIPPED", "COMPLETED"];

/** The constraints of the table. */
function checkRow({ order, dueMs }: Row): void {
  const { state, step, rejection, reservationId, paymentId, refunded, promised, total, due, dues, announced } = order;
  const must = (holds: boolean, name: string): void => {
    if (!holds) throw new Violation(`${order.id} in ${state}/${step} violates ${name}`);
  };
  must(stepsOf[state].includes(step), "orders_step_of_state");
  must(!accepted.includes(state) || (reservationId !== undefined && paymentId !== undefined), "orders_accepted");
  const rejecting = state === "REJECTED" || (state === "PENDING" && step === "release_stock");
  must((rejection !== undefined) === rejecting, "orders_rejected");
  must((step === "done") === (dueMs === undefined), "orders_due");
  must(refunded >= 0n && promised >= 0n && refunded + promised <= total, "orders_total");
  must(due.length <= MAX_DUE, "orders_dues");
  const isPaid = ["PAID", "SHIPPED", "COMPLETED"].includes(state);
  must(isPaid || (dues === 0 && announced === 0 && promised === 0n), "orders_dues_of_state");
  const next = due.length > 0 ? ["restock", "refund_payment"] : [order.cartCleared ? "done" : "clear_cart"];
  must(!isPaid || next.includes(step), "orders_step_of_state");
  for (const { quantity, announcedQuantity, returnedQuantity } of order.lines) {
    const back = announcedQuantity + returnedQuantity;
    must(announcedQuantity >= 0n && returnedQuantity >= 0n && back <= quantity, "order_lines_returnable");
  }
}

/** Final states never change, and every history is a legal path without gaps. */
function checkMove(before: Order, after: Order): void {
  const { state } = after;
  if (state !== before.state && !legal[before.state].includes(state)) {
    throw new Violation(`${after.id} went from ${before.state} to ${state}`);
  }
  const last = after.history.at(-1);
  if (last?.state !== state || last.seq !== after.version || after.history.length !== after.version) {
    throw new Violation(`the history of ${after.id} does not tell how it came to be ${state}`);
  }
  if (after.fence < before.fence || after.refunded < before.refunded) {
    throw new Violation(`${after.id} went back`);
  }
}
