import { GATEWAY_WORKLOAD } from "#mesh/identity/authorize.ts";
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
  /** Whether one more would find a place, beside those that are expected. */
  hasRoom(): boolean;
  /** Expects a call: it has come, and its request is still to be read. `arrived` is told before it enters, if it does. */
  expect(): Calls;
  arrived(expected: Calls): void;
}

/** How many calls. */
export interface Calls {
  ofShoppers: number;
  ofServices: number;
}

/** The places for the calls of a workload. */
export function placesOf(caller: string, { shoppers, services }: CallAdmission): CallPlaces {
  return caller === GATEWAY_WORKLOAD ? shoppers : services;
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
  const running: Calls = { ...none };
  let limit = bounds.start;
  let peak = 0;
  let expected: Calls | undefined;

  const onFigure = (pressure: number): boolean => {
    const idle = peak === 0;
    limit = idle ? bounds.start : nextLimit(limit, { pressure, peak }, bounds);
    peak = sum(running);
    return !idle;
  };
  const measure = pressureGauge({ queues, ticker, onFigure });
  /** What came together is read together: whoever has sent no request by then, holds nothing until it is there. */
  const expectAnew = (): Calls => {
    ticker.after(0, () => {
      expected = undefined;
    });
    return { ...none };
  };
  const placesFor = (kind: keyof Calls, room: typeof roomForShopper): CallPlaces => ({
    hasRoom: () => room(limit, running, expected ?? none),
    expect() {
      expected ??= expectAnew();
      expected[kind] += 1;
      return expected;
    },
    arrived(those) {
      those[kind] -= 1;
    },
    tryEnter() {
      if (!room(limit, running, none)) return false;
      running[kind] += 1;
      peak = Math.max(peak, sum(running));
      measure();
      return true;
    },
    leave() {
      running[kind] -= 1;
    },
  });
  const shoppers = placesFor("ofShoppers", roomForShopper);
  const services = placesFor("ofServices", roomForService);
  return { shoppers, services, limit: () => Math.floor(limit) };
}

const none: Readonly<Calls> = { ofShoppers: 0, ofServices: 0 };

function sum({ ofShoppers, ofServices }: Readonly<Calls>): number {
  return ofShoppers + ofServices;
}

function roomForShopper(limit: number, running: Readonly<Calls>, expected: Readonly<Calls>): boolean {
  const ofShoppers = running.ofShoppers + expected.ofShoppers;
  return sum(running) + sum(expected) < limit && ofShoppers < Math.max(1, limit * SHOPPERS_SHARE);
}

/** While the limit falls, shoppers may hold more than all of it for a moment; the fifth is there even then. */
function roomForService(limit: number, running: Readonly<Calls>, expected: Readonly<Calls>): boolean {
  const ofServices = running.ofServices + expected.ofServices;
  return sum(running) + sum(expected) < limit || ofServices < limit * (1 - SHOPPERS_SHARE);
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
