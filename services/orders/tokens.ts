import { type Clock, systemClock } from "#mesh/clock.ts";

/** How many payment tokens one process keeps of orders that it has not placed itself. */
export const MAX_OFFERED_TOKENS = 1_024;

/** The buyer's payment token, kept in memory alone, until it is of no more use. */
export interface HeldToken {
  readonly use: () => string | undefined;
}

/** Keeps a payment token for `holdMs`. */
export function holdToken(paymentToken: string, holdMs: number, clock: Clock = systemClock): HeldToken {
  const until = clock.now().getTime() + holdMs;
  return { use: () => (clock.now().getTime() < until ? paymentToken : undefined) };
}

/** The payment tokens that copies of requests brought again, in memory alone, for a limited time each. */
export interface OfferedTokens {
  /** Keeps the token of an order, from now on for the whole time again. True when there was none of that order. */
  offer(orderId: string, paymentToken: string): boolean;
  /** What is known of an order's token whenever it is asked. */
  held(orderId: string): HeldToken;
  forget(orderId: string): void;
  /** The orders with a token. */
  orderIds(): readonly string[];
}

/** A store of at most MAX_OFFERED_TOKENS; what is offered beyond them is not kept. */
export function keepOfferedTokens(holdMs: number, clock: Clock = systemClock): OfferedTokens {
  // The oldest first, for each offer goes to the end.
  const offered = new Map<string, HeldToken>();
  const expire = (): void => {
    for (const [orderId, token] of offered) {
      if (token.use() !== undefined) return;
      offered.delete(orderId);
    }
  };
  return {
    offer: (orderId, paymentToken) => {
      expire();
      const known = offered.delete(orderId);
      if (offered.size >= MAX_OFFERED_TOKENS) return false;
      offered.set(orderId, holdToken(paymentToken, holdMs, clock));
      return !known;
    },
    held: (orderId) => ({ use: () => offered.get(orderId)?.use() }),
    forget: (orderId) => {
      offered.delete(orderId);
    },
    orderIds: () => {
      expire();
      return [...offered.keys()];
    },
  };
}
