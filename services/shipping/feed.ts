import type { Logger } from "pino";
import { Direction, Shipment_State } from "#gen/shop/shipping/v1/shipment.ts";
import type {
  ShipmentEvent,
  WatchShipmentEventsRequest,
  WatchShipmentEventsResponse,
} from "#gen/shop/shipping/v1/shipping_service.ts";
import type { Clock } from "#mesh/clock.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeResumeToken, encodeResumeToken } from "#mesh/rpc/resume-token.ts";
import { fail, invalidToken } from "./errors.ts";
import { type EventRow, FEED_START, type FeedPosition, isInFeed, readEvents, sweepEvents } from "./store-feed.ts";

/** How many events one reader is given by one statement, which is all that is held for it. */
const FEED_BATCH = 200;
/** How many read the feed of one process at once. */
const MAX_READERS = 64;
/** How long an event of another process takes to be seen, at the most. This process's own are seen at once. */
const FEED_INTERVAL_MS = 250;

const EVENTS_KEPT_MS = 30 * 24 * 3_600_000;
const SWEEP_INTERVAL_MS = 3_600_000;
const SWEEP_BATCH = 1_000;
const SWEEP_MAX_BATCHES = 1_000;

/** What tokens of the feed are bound to. */
const FEED = "shipment events";

/** Wakes those who read the feed. */
export interface Feed {
  /** Says that this process wrote an event. */
  changed(): void;
  /** Resolves when there may be more, or `signal` aborts. */
  more(signal: AbortSignal): Promise<void>;
  /** Counts a reader in, until what it returns is called. Throws OVERLOADED when there are too many. */
  enter(): () => void;
  /** Ends every wait. */
  close(): void;
}

export function createFeed(intervalMs = FEED_INTERVAL_MS): Feed {
  const waiting = new Set<() => void>();
  let readers = 0;
  let closed = false;
  const changed = (): void => {
    for (const wake of waiting) wake();
  };
  return {
    changed,
    more: (signal) =>
      new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          waiting.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, intervalMs);
        waiting.add(done);
        signal.addEventListener("abort", done);
        if (signal.aborted || closed) done();
      }),
    enter: () => {
      if (closed || readers >= MAX_READERS) {
        throw meshFailure("OVERLOADED", "Too many read the shipments' events here.", { retryDelayMs: 1_000 });
      }
      readers += 1;
      return () => {
        readers -= 1;
      };
    },
    close: () => {
      closed = true;
      changed();
    },
  };
}

/** What happened to shipments since the token, then what happens. */
export const watchShipmentEvents = ({ db, feed }: { readonly db: Database; readonly feed: Feed }) =>
  async function* (request: WatchShipmentEventsRequest, call: Call): AsyncGenerator<WatchShipmentEventsResponse> {
    const leave = feed.enter();
    try {
      let position = await positionOf(db, request);
      while (!call.signal.aborted) {
        // Before the look: what is written after it wakes this wait.
        const more = feed.more(call.signal);
        const events = await readEvents(db, position, FEED_BATCH);
        for (const event of events) {
          position = { xid: event.xid, seq: event.seq };
          yield { event: eventMessage(event), resumeToken: encodeResumeToken(FEED, position) };
        }
        if (events.length < FEED_BATCH) await more;
      }
    } finally {
      leave();
    }
  };

async function positionOf(db: Database, { resumeToken }: WatchShipmentEventsRequest): Promise<FeedPosition> {
  if (resumeToken === "") return FEED_START;
  const position = decodeResumeToken({ watch: FEED, token: resumeToken, invalid: invalidToken });
  if (isPosition(position) && (await isInFeed(db, position))) return position;
  throw fail("RESUME_TOKEN_INVALID", "What the token names is no longer kept, or never was.");
}

function isPosition(value: unknown): value is FeedPosition {
  if (typeof value !== "object" || value === null || !("xid" in value) || !("seq" in value)) return false;
  return [value.xid, value.seq].every((part) => typeof part === "string" && /^\d{1,18}$/.test(part));
}

function eventMessage(row: EventRow): ShipmentEvent {
  return {
    id: row.id,
    shipmentId: row.shipmentId,
    orderId: row.orderId,
    returnId: row.returnId,
    direction: Direction[row.direction],
    state: Shipment_State[row.state],
    returnedLines: row.returnedSkus.map((sku, at) => ({ sku, quantity: row.returnedQuantities[at] ?? 0n })),
    eventTime: row.eventTime,
  };
}

/** Removes events that are older than 30 days. */
export function startFeedSweep(deps: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Pick<Logger, "warn">;
}): Background {
  const options = { name: "sweeping shipment events", everyMs: SWEEP_INTERVAL_MS, log: deps.log };
  return repeat(options, async (signal) => {
    const olderThan = new Date(deps.clock.now().getTime() - EVENTS_KEPT_MS);
    for (let batch = 0; batch < SWEEP_MAX_BATCHES && !signal.aborted; batch += 1) {
      if ((await sweepEvents(deps.db, olderThan, SWEEP_BATCH)) < SWEEP_BATCH) return;
    }
  });
}
