import type { Logger } from "pino";
import { Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { ShipmentEvent, WatchShipmentEventsResponse } from "#gen/shop/shipping/v1/shipping_service.ts";
import type { Client } from "#mesh/contract/contract.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import type { OrderChanges } from "./changes.ts";
import type { Order } from "./domain-order.ts";
import type { ShipmentNews } from "./domain-shipments.ts";
import { takeNews } from "./goods-news.ts";
import { lockOrders } from "./store.ts";
import { advanceFeed, claimFeed, type FeedHold, letGoOfFeed } from "./store-feed.ts";

/** How many events wait here, at the most, and are taken in by one transaction. */
const BATCH = 64;
/** How long one stream is read before another is opened. */
const STREAM_MS = 600_000;

export interface FeedTimings {
  /** How long a process holds the feed without a sign of life. */
  readonly feedLeaseMs: number;
  /** How long until the feed is tried again, when it broke or somebody else holds it. */
  readonly feedIntervalMs: number;
}

export const defaultFeedTimings: FeedTimings = { feedLeaseMs: 10_000, feedIntervalMs: 1_000 };

export interface FeedDeps {
  readonly db: Database;
  readonly log: Logger;
  readonly shipping: Client<typeof ShippingService>;
  readonly background: (options: { name: string; timeoutMs: number; signal: AbortSignal }) => OwnCall;
  readonly changes: OrderChanges;
  readonly newId: (prefix: string) => string;
  /** Orders moved, and more is to be done for them. */
  readonly moved: () => void;
  readonly timings: FeedTimings;
}

/**
 * Takes in what shipping tells of shipments, one process at a time, each event with its effects and its place in the feed
 * in one transaction: none is left out, and none counts twice.
 */
export function startShipmentFeed(deps: FeedDeps): Background {
  const { db, log, timings } = deps;
  return repeat({ name: "shipment feed", everyMs: timings.feedIntervalMs, log }, async (signal) => {
    const hold = await claimFeed(db, timings.feedLeaseMs);
    if (hold === undefined) return;
    try {
      await follow(deps, hold, signal);
    } finally {
      await letGoOfFeed(db, hold.fence);
    }
  });
}

/** Reads the feed until it ends, breaks, or is somebody else's. */
async function follow(deps: FeedDeps, hold: FeedHold, closing: AbortSignal): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([closing, ending.signal]);
  const call = deps.background({ name: "shipment-feed", timeoutMs: STREAM_MS, signal });
  const inbox = createInbox();
  const reading = read(deps, hold, { inbox, call })
    .catch((error: unknown) => {
      if (!signal.aborted) deps.log.warn({ err: error }, "the feed of shipments broke; it is read again");
    })
    .finally(inbox.end);
  try {
    await takeIn(deps, hold, inbox);
  } finally {
    ending.abort();
    inbox.end();
    call.done();
    await reading;
  }
}

async function read(
  { db, log, shipping, timings }: FeedDeps,
  { fence, resumeToken }: FeedHold,
  { inbox, call }: { readonly inbox: Inbox; readonly call: OwnCall },
): Promise<void> {
  try {
    for await (const told of shipping.watchShipmentEvents({ resumeToken }, call)) {
      if (!(await inbox.put(told))) return;
    }
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    // The stream's own time is up.
    if (error.reason === "DEADLINE_EXCEEDED") return;
    if (error.reason !== "RESUME_TOKEN_INVALID") throw error;
    // What it named is no longer kept. Everything that is kept is told again, and what is known changes nothing.
    log.error("the feed of shipments does not go back to where it was read; it is read from its beginning");
    await advanceFeed(db, { fence, resumeToken: "", leaseMs: timings.feedLeaseMs });
  }
}

/** Takes in whatever comes, and tells the database in between that this process is alive. */
async function takeIn(deps: FeedDeps, { fence }: FeedHold, inbox: Inbox): Promise<void> {
  const { db, changes, moved, timings } = deps;
  const { feedLeaseMs: leaseMs } = timings;
  for (;;) {
    const told = await inbox.take(leaseMs / 3);
    if (told === undefined) return;
    const resumeToken = told.at(-1)?.resumeToken;
    const orders = await db.transaction(async (tx) => {
      if (!(await advanceFeed(tx, { fence, resumeToken, leaseMs }))) return undefined;
      const news = told.flatMap(({ event }) => (event === undefined ? [] : newsOf(event)));
      const before = await lockOrders(tx, [...new Set(news.map(({ orderId }) => orderId))]);
      const after = new Map(before);
      for (const one of news) {
        const order = after.get(one.orderId);
        if (order === undefined) deps.log.error({ news: one }, "news of a shipment of no order");
        else after.set(order.id, await takeNews(deps, tx, order, one));
      }
      return [...after.values()].filter((order: Order) => order !== before.get(order.id));
    });
    if (orders === undefined) return;
    for (const order of orders) changes.publish(order);
    if (orders.length > 0) moved();
  }
}

const states: Readonly<Partial<Record<Shipment_State, ShipmentNews["state"]>>> = {
  [Shipment_State.BOOKED]: "BOOKED",
  [Shipment_State.IN_TRANSIT]: "IN_TRANSIT",
  [Shipment_State.DELIVERED]: "DELIVERED",
  [Shipment_State.RETURNED]: "RETURNED",
  [Shipment_State.CANCELLED]: "CANCELLED",
};

function newsOf({ shipmentId, orderId, returnId, state, returnedLines }: ShipmentEvent): readonly ShipmentNews[] {
  const known = states[state];
  return known === undefined ? [] : [{ shipmentId, orderId, returnId, state: known, returnedLines }];
}

/** What was read and is not taken in yet: a bounded queue between the two. */
interface Inbox {
  /** Resolves once there is room for more; false when it has ended. */
  put(told: WatchShipmentEventsResponse): Promise<boolean>;
  /** All that is there; nothing when nothing came for so long; undefined when it has ended and is empty. */
  take(waitMs: number): Promise<readonly WatchShipmentEventsResponse[] | undefined>;
  end(): void;
}

function createInbox(): Inbox {
  let waiting: WatchShipmentEventsResponse[] = [];
  let ended = false;
  let filled = (): void => {};
  let emptied = (): void => {};
  return {
    put: async (told) => {
      waiting.push(told);
      filled();
      if (waiting.length >= BATCH && !ended) {
        await new Promise<void>((resolve) => {
          emptied = resolve;
        });
      }
      return !ended;
    },
    take: async (waitMs) => {
      if (waiting.length === 0 && !ended) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          filled = resolve;
          timer = setTimeout(resolve, waitMs);
        });
        clearTimeout(timer);
      }
      if (waiting.length === 0 && ended) return undefined;
      const taken = waiting;
      waiting = [];
      emptied();
      return taken;
    },
    end: () => {
      ended = true;
      filled();
      emptied();
    },
  };
}
