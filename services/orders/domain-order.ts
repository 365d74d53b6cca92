import type { Money, PricedLine } from "./domain-money.ts";
import type { OrderState, Saga } from "./domain-saga.ts";

/** An order as it is kept: what was bought, and where its saga stands. */
export interface Order extends Saga {
  /** `ord_…` */
  readonly id: string;
  readonly customerId: string;
  readonly cartId: string;
  readonly lines: readonly OrderLine[];
  readonly currencyCode: string;
  readonly subtotal: bigint;
  readonly email: string;
  readonly address: Address;
  readonly shippingOption: ShippingOption;
  /** Shipping's `rate_…` for these goods and this destination; empty for orders from before there were rates. */
  readonly rateId: string;
  /** In order, by `seq` from 1 on; the last has the seq `version`. */
  readonly history: readonly HistoryEntry[];
  readonly createTime: Date;
  readonly updateTime: Date;
  /** Rises by one with every entry of the history. */
  readonly version: number;
  /** Rises with every claim: who writes with an old one is late. */
  readonly fence: bigint;
  /** How often the present step was tried and failed. */
  readonly attempts: number;
}

export interface OrderLine extends PricedLine {
  /** Units that were announced to come back, and are not here yet. */
  readonly announcedQuantity: bigint;
  /** Units that came back. */
  readonly returnedQuantity: bigint;
}

export interface Address {
  readonly recipient: string;
  readonly lines: readonly string[];
  readonly city: string;
  readonly postalCode: string;
  readonly region: string;
  readonly countryCode: string;
  readonly phone: string;
}

/** A way to send the goods. */
export interface ShippingOption {
  readonly id: string;
  readonly title: string;
  readonly price: Money;
  readonly minDays: number;
  readonly maxDays: number;
}

export interface HistoryEntry {
  readonly seq: number;
  readonly time: Date;
  readonly state: OrderState;
  /** A user's id, or the name of a service. */
  readonly actor: string;
  readonly note: string;
}

/** An order that does not move on, and what is known of why. */
export interface StuckOrder {
  readonly order: Order;
  readonly lastError: string;
  readonly stuckTime: Date;
  readonly backoffMs: number;
}

/** Whether it is known what becomes of a placed order; until then PlaceOrder waits. */
export function isDecided({ state }: Order): boolean {
  return state !== "PENDING";
}

/** Whether a decided order only waits for its goods to be taken out of the cart, for which PlaceOrder waits a moment. */
export function isClearingCart({ state, step }: Order): boolean {
  return state === "CONFIRMED" && step === "clear_cart";
}

/** Whether the authorization is still to be asked for, so that the buyer's payment token is of use. */
export function needsToken({ state, step }: Order): boolean {
  return state === "PENDING" && step !== "release_stock";
}

/**
 * The order as it was just after each entry of its history that came after `version`, oldest first, so that somebody
 * who watches misses no state. What is not part of the history is as it is now. Each is made when it is asked for, so that
 * a slow reader holds one.
 */
export function* changesSince(order: Order, version: number): Generator<Order> {
  for (const { seq, state, time } of order.history) {
    if (seq <= version) continue;
    const rejection = state === order.state ? order.rejection : undefined;
    const history = order.history.filter((entry) => entry.seq <= seq);
    yield { ...order, state, version: seq, updateTime: time, rejection, history };
  }
}
