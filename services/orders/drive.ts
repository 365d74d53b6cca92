import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Database } from "#mesh/postgres/index.ts";
import type { OrderChanges } from "./changes.ts";
import { commandsOf, transition } from "./domain.ts";
import { needsToken, type Order } from "./domain-order.ts";
import { backoffMs } from "./domain-retry.ts";
import type { Command, SagaEvent } from "./domain-saga.ts";
import type { StepOutcome } from "./step-outcome.ts";
import * as store from "./store.ts";
import * as sagaStore from "./store-saga.ts";
import type { HeldToken } from "./tokens.ts";

/** The saga's spans of time, in milliseconds. */
export interface SagaTimings {
  /** How long a process holds an order without a sign of life. Longer than any step's calls may take. */
  readonly leaseMs: number;
  /** How long the buyer has to bring the payment token again, before an authorization that was given up is settled. */
  readonly tokenWaitMs: number;
  /** How long a payment token is kept in memory, to ask again under the same key. Well below the hold's time. */
  readonly tokenMs: number;
  /** How long a buyer who waits for the answer waits for the cart as well, at the most. */
  readonly cartMs: number;
  /** The longest wait during which a process goes on holding the order. Well below the lease. */
  readonly inlineBackoffMs: number;
}

export const defaultTimings: SagaTimings = {
  leaseMs: 30_000,
  tokenWaitMs: 15_000,
  tokenMs: 120_000,
  cartMs: 1_000,
  inlineBackoffMs: 5_000,
};

export interface DriveDeps {
  readonly db: Database;
  readonly log: Logger;
  readonly changes: OrderChanges;
  readonly perform: (
    command: Command,
    order: Order,
    options: { readonly token: string | undefined; readonly signal: AbortSignal },
  ) => Promise<StepOutcome>;
  /** Says that there are errands to do. */
  readonly errandsWritten: () => void;
  /** At least 0, less than 1. */
  readonly random: () => number;
  readonly timings: SagaTimings;
  /** Aborted when the process is about to end: nothing new is begun. */
  readonly closing: AbortSignal;
  /** The calls under way, to be aborted when the process can wait no longer. */
  readonly underWay: Set<AbortController>;
}

/** Who does what no user asked for, in the histories. */
const ACTOR = "orders";

/**
 * Moves an order on that this process holds, until it is at rest, has to wait for long, or is somebody else's. Every
 * write is guarded, so a process that finds itself late stops here without having written anything.
 */
export async function drive(deps: DriveDeps, order: Order, token: HeldToken): Promise<void> {
  let current: Order | undefined = order;
  while (current !== undefined) {
    const [command]: readonly Command[] = commandsOf(current);
    if (command === undefined) return;
    if (deps.closing.aborted) return sagaStore.letGo(deps.db, current);
    const outcome: StepOutcome = await take(deps, command, current, token);
    current = outcome.known
      ? await move(deps, current, outcome.event)
      : await waitAfterFailure(deps, current, outcome.error, token);
  }
}

async function take(deps: DriveDeps, command: Command, order: Order, token: HeldToken): Promise<StepOutcome> {
  // Who cancels wants no authorization any more, only to know how the last one ended.
  const usable = order.state === "CANCELLING" ? undefined : token.use();
  const ending = new AbortController();
  deps.underWay.add(ending);
  try {
    return await deps.perform(command, order, { token: usable, signal: ending.signal });
  } catch (error) {
    deps.log.error({ err: error, orderId: order.id, step: command.kind }, "a step of an order failed by a defect");
    return { known: false, error: "INTERNAL (a defect of this process)" };
  } finally {
    deps.underWay.delete(ending);
  }
}

/** Makes the move that the event leads to. Undefined when there is nothing more to do for this process. */
async function move(deps: DriveDeps, order: Order, event: SagaEvent): Promise<Order | undefined> {
  const { db, changes, timings } = deps;
  const next = transition(order, event);
  if (!next.ok) throw new Error(`${order.id}: ${event.kind} is illegal in ${order.state}/${order.step}`);
  const { saga, note, awaitsToken, errands } = next.value;
  const entry = await sagaStore.advanceOrder(db, order, {
    saga,
    note,
    actor: ACTOR,
    errands,
    leaseMs: awaitsToken ? undefined : timings.leaseMs,
    delayMs: awaitsToken ? timings.tokenWaitMs : 0,
  });
  if (entry === undefined) return afterMiss(deps, order, event);
  const { time: updateTime, seq: version } = entry;
  if (errands.length > 0) deps.errandsWritten();
  const moved = { ...order, ...saga, history: [...order.history, entry], updateTime, version, attempts: 0 };
  changes.publish(moved);
  return awaitsToken ? undefined : moved;
}

/**
 * Somebody has written to the order in between. When it is still ours, they asked for something: what happened counts
 * there as well, if it can. When it is not, this process has been too slow.
 */
async function afterMiss(deps: DriveDeps, order: Order, event: SagaEvent): Promise<Order | undefined> {
  const now = await reload(deps.db, order);
  if (now.fence === order.fence) return transition(now, event).ok ? move(deps, now, event) : now;
  deps.log.warn({ orderId: order.id, step: order.step }, "an order was taken over by another process");
  return undefined;
}

/** Notes the failure, and waits here if that is short; otherwise lets go of the order, for whoever is free then. */
async function waitAfterFailure(
  deps: DriveDeps,
  order: Order,
  error: string,
  token: HeldToken,
): Promise<Order | undefined> {
  const { db, timings, closing } = deps;
  if (closing.aborted) {
    await sagaStore.letGo(db, order);
    return undefined;
  }
  const attempts = order.attempts + 1;
  const wait = backoffMs(attempts, deps.random());
  // Only this process has the token: as long as it is good and wanted, nobody else could go on as well.
  const held = needsToken(order) && token.use() !== undefined;
  const inline = held || wait <= timings.inlineBackoffMs;
  const failure = {
    attempts,
    backoffMs: inline ? Math.min(wait, timings.inlineBackoffMs) : wait,
    error,
    leaseMs: inline ? timings.leaseMs : undefined,
  };
  if (!(await sagaStore.recordFailure(db, order, failure))) {
    const now = await reload(db, order);
    return now.fence === order.fence ? now : undefined;
  }
  if (!inline) return undefined;
  // Ends early when the process is closing, which the next turn sees.
  await sleep(failure.backoffMs, undefined, { signal: closing }).catch(() => {});
  return { ...order, attempts };
}

async function reload(db: Database, { id }: Order): Promise<Order> {
  const order = await store.getOrder(db, id);
  if (order === undefined) throw new Error(`The order ${id} is gone, though orders are never deleted.`);
  return order;
}
