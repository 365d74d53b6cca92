import { type LimitBounds, nextLimit } from "#mesh/rpc/concurrency-limit.ts";
import { START_CONCURRENT_CALLS } from "#mesh/rpc/limits.ts";
import { pressureGauge, processTicker, type Queue, type Ticker } from "#mesh/rpc/pressure.ts";

/** Decides whether there is room for one more call. */
export interface Admission {
  /** Takes a place, or returns false at once when there is none. */
  tryEnter(): boolean;
  /** Gives the place back. Called once for every `tryEnter` that returned true. */
  leave(): void;
}

/** The places for calls that are answered once; how many there are adapts. */
export interface CallAdmission {
  /** For calls that a shopper makes, through the gateway: they leave a fifth to the calls between services. */
  readonly shoppers: CallPlaces;
  /** For all other calls. */
  readonly services: CallPlaces;
  /** How many places there are now. */
  limit(): number;
}

export interface CallPlaces extends Admission {
  /** Whether `tryEnter` would find a place now. */
  hasRoom(): boolean;
}

export interface AdaptiveOptions extends LimitBounds {
  readonly queues: readonly Queue[];
  readonly ticker: Ticker;
}

/** Of the limit, what calls by the gateway may hold. */
const SHOPPERS_SHARE = 0.8;

/**
 * Admits as many calls at a time as the process gets through without its lines growing, between `min` and `max`, and
 * refuses the rest: waiting in line would only make the late ones later. Begins at `start`, measures only while calls
 * run, and begins anew when there was none for a window.
 */
export function adaptiveAdmission({ queues, ticker, ...given }: AdaptiveOptions): CallAdmission {
  const { max } = given;
  const bounds: LimitBounds = { min: Math.min(given.min, max), start: Math.min(given.start, max), max };
  let limit = bounds.start;
  let running = 0;
  let ofShoppers = 0;
  let peak = 0;

  const onFigure = (pressure: number): boolean => {
    const idle = peak === 0;
    limit = idle ? bounds.start : nextLimit(limit, { pressure, peak }, bounds);
    peak = running;
    return !idle;
  };
  const measure = pressureGauge({ queues, ticker, onFigure });
  const enter = (): void => {
    running += 1;
    if (running > peak) peak = running;
    measure();
  };
  const services: CallPlaces = {
    // While the limit falls, shoppers may hold more than all of it for a moment; the fifth is there even then.
    hasRoom: () => running < limit || running - ofShoppers < limit * (1 - SHOPPERS_SHARE),
    tryEnter() {
      if (!services.hasRoom()) return false;
      enter();
      return true;
    },
    leave() {
      running -= 1;
    },
  };
  const shoppers: CallPlaces = {
    hasRoom: () => running < limit && ofShoppers < Math.max(1, limit * SHOPPERS_SHARE),
    tryEnter() {
      if (!shoppers.hasRoom()) return false;
      enter();
      ofShoppers += 1;
      return true;
    },
    leave() {
      ofShoppers -= 1;
      services.leave();
    },
  };
  return { shoppers, services, limit: () => Math.floor(limit) };
}

/** The admission of this process. `queues` may still grow. */
export function processAdmission(options: Omit<AdaptiveOptions, "start" | "ticker">): CallAdmission {
  return adaptiveAdmission({ ...options, start: START_CONCURRENT_CALLS, ticker: processTicker });
}

/** Who holds places, and how many they may hold at a time. */
export interface Principal {
  readonly key: string;
  readonly share: number;
}

/** A ceiling of which nobody has more than their share. It remembers only those who hold a place. */
export interface SharedAdmission {
  /** The admission of one principal. */
  of(principal: Principal): Admission;
}

/** Admits up to `limit` calls at a time, and of each principal up to its share. */
export function sharedCeiling(limit: number): SharedAdmission {
  const held = new Map<string, number>();
  let all = 0;
  return {
    of: ({ key, share }) => ({
      tryEnter() {
        const before = held.get(key) ?? 0;
        if (before >= share || all >= limit) return false;
        all += 1;
        held.set(key, before + 1);
        return true;
      },
      leave() {
        all -= 1;
        const left = (held.get(key) ?? 0) - 1;
        if (left > 0) held.set(key, left);
        else held.delete(key);
      },
    }),
  };
}
