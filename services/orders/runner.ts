import { setMaxListeners } from "node:events";
import type { Order } from "./domain-order.ts";
import { type DriveDeps, defaultTimings, drive, type SagaTimings } from "./drive.ts";
import { defaultFeedTimings, type FeedTimings } from "./shipment-feed.ts";
import * as sagaStore from "./store-saga.ts";
import { type HeldToken, holdToken, keepOfferedTokens, type OfferedTokens } from "./tokens.ts";

/** How many placed orders one process works on at once. Beyond it PlaceOrder sheds before it has done anything. */
export const MAX_PLACED_ORDERS = 256;

/** How many claimed orders one process works on at once, so that a backlog leaves room for buyers who wait. */
export const MAX_CLAIMED_ORDERS = 32;

export interface RunnerTimings extends SagaTimings, FeedTimings {
  /** How often to look for orders that are due, when nothing else gives cause to. */
  readonly claimIntervalMs: number;
  /** How long a closing process waits for what is under way before it aborts that. */
  readonly closeMs: number;
}

export const defaultRunnerTimings: RunnerTimings = {
  ...defaultTimings,
  ...defaultFeedTimings,
  claimIntervalMs: 500,
  closeMs: 3_000,
};

/** Moves orders on in the background: those placed here, and those that wait for any process. */
export interface SagaRunner {
  /** Keeps a place for an order that is about to be placed; undefined when there is none left. */
  admit(): Admission | undefined;
  /**
   * Keeps a payment token that a copy of an order's request brought again, for a limited time: should the process that
   * placed the order be gone, the authorization is asked for with this one.
   */
  offerToken(orderId: string, paymentToken: string): void;
  /** Lets go of such a token, when it is known what becomes of the order. */
  forgetToken(orderId: string): void;
  /** Looks for due orders now. */
  wake(): void;
  /** Begins nothing new, ends what is under way within a bound, and lets go of what is not done. */
  close(): Promise<void>;
}

/** A place. Exactly one of the two is called. */
export interface Admission {
  /** Moves the order on; its lease is this process's. The token stays in memory, and for a limited time. */
  start(order: Order, paymentToken: string): void;
  cancel(): void;
}

export type RunnerDeps = Omit<DriveDeps, "closing" | "underWay" | "timings"> & {
  readonly timings?: RunnerTimings;
};

/** Starts the runner, with a look for orders that a process before it has left. */
export function startSagaRunner(given: RunnerDeps): SagaRunner {
  const { timings = defaultRunnerTimings, db, log } = given;
  const closing = new AbortController();
  // Each order that waits listens to it.
  setMaxListeners(MAX_PLACED_ORDERS + MAX_CLAIMED_ORDERS, closing.signal);
  const underWay = new Set<AbortController>();
  const running = new Set<Promise<void>>();
  const deps: DriveDeps = { ...given, timings, closing: closing.signal, underWay };
  const tokens = keepOfferedTokens(timings.tokenMs);
  const run: Run = (order, placedWith, done) => {
    const offered = tokens.held(order.id);
    const token: HeldToken = { use: () => placedWith?.use() ?? offered.use() };
    // A failure here is the database's: the lease runs out, and the order is claimed again.
    const job = drive(deps, order, token)
      .catch((error: unknown) => log.error({ err: error, orderId: order.id }, "an order is left to be claimed again"))
      .finally(() => {
        running.delete(job);
        done();
      });
    running.add(job);
  };
  const admit = startAdmission(run, timings.tokenMs);
  const pump = startPump({ db, log, timings, run, tokens });
  return {
    admit: () => (closing.signal.aborted ? undefined : admit()),
    offerToken: (orderId, paymentToken) => {
      if (!closing.signal.aborted && tokens.offer(orderId, paymentToken)) pump.wake();
    },
    forgetToken: tokens.forget,
    wake: pump.wake,
    close: async () => {
      closing.abort();
      await pump.close();
      const late = setTimeout(() => {
        for (const call of underWay) call.abort();
      }, timings.closeMs);
      await Promise.all(running);
      clearTimeout(late);
    },
  };
}

/** Moves an order on, and calls `done` when this process has done with it. */
type Run = (order: Order, placedWith: HeldToken | undefined, done: () => void) => void;

function startAdmission(run: Run, tokenMs: number): () => Admission | undefined {
  let placed = 0;
  const leave = (): void => {
    placed -= 1;
  };
  return () => {
    if (placed >= MAX_PLACED_ORDERS) return undefined;
    placed += 1;
    return { start: (order, paymentToken) => run(order, holdToken(paymentToken, tokenMs), leave), cancel: leave };
  };
}

interface Pump {
  wake(): void;
  close(): Promise<void>;
}

interface PumpDeps extends Pick<RunnerDeps, "db" | "log"> {
  readonly timings: RunnerTimings;
  readonly run: Run;
  readonly tokens: OfferedTokens;
}

/** Claims due orders at once, then at every interval and whenever woken; one claim at a time. */
function startPump({ db, log, timings, run, tokens }: PumpDeps): Pump {
  const { leaseMs } = timings;
  let claimed = 0;
  let timer: NodeJS.Timeout | undefined;
  let again = false;
  let closed = false;
  let claiming: Promise<void> | undefined;

  const leave = (): void => {
    // When all places were taken, more may be waiting for this one.
    const full = claimed === MAX_CLAIMED_ORDERS;
    claimed -= 1;
    if (full) wake();
  };
  const runSome = async (claimSome: (limit: number) => Promise<readonly Order[]>): Promise<void> => {
    const limit = MAX_CLAIMED_ORDERS - claimed;
    if (limit <= 0) return;
    const orders = await claimSome(limit);
    claimed += orders.length;
    for (const order of orders) run(order, undefined, leave);
  };
  const claim = async (): Promise<void> => {
    const ids = tokens.orderIds();
    if (ids.length > 0) await runSome((limit) => sagaStore.claimForTokens(db, { ids, limit, leaseMs }));
    await runSome((limit) => sagaStore.claimDueOrders(db, { limit, leaseMs }));
  };
  const round = async (): Promise<void> => {
    do {
      again = false;
      await claim().catch((error: unknown) => log.warn({ err: error }, "due orders could not be claimed"));
    } while (again && !closed);
    claiming = undefined;
    if (!closed) timer = setTimeout(wake, timings.claimIntervalMs);
  };
  const wake = (): void => {
    if (closed) return;
    clearTimeout(timer);
    if (claiming === undefined) claiming = round();
    else again = true;
  };
  wake();
  return {
    wake,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await claiming;
    },
  };
}
