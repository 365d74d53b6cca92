/** The public life of an order; see `shop.orders.v1.Order.State`. */
export type OrderState =
  | "PENDING"
  | "CONFIRMED"
  | "PAID"
  | "SHIPPED"
  | "COMPLETED"
  | "REJECTED"
  | "CANCELLING"
  | "CANCELLED";

/** What the saga is about to do, or is doing. `done`: nothing, until somebody asks for more. */
export type Step =
  | "reserve_stock"
  | "authorize_payment"
  | "settle_payment"
  | "capture_payment"
  | "commit_stock"
  | "reserve_again"
  | "clear_cart"
  | "void_payment"
  | "refund_payment"
  | "release_stock"
  | "done";

/**
 * Which steps a state can be in. CANCELLING keeps a step whose outcome must be known before it can be undone.
 * The table's check constraint says the same.
 */
export const stepsOf: Readonly<Record<OrderState, readonly Step[]>> = {
  PENDING: ["reserve_stock", "authorize_payment", "settle_payment", "release_stock"],
  CONFIRMED: ["capture_payment", "commit_stock", "reserve_again"],
  PAID: ["clear_cart", "done"],
  SHIPPED: ["done"],
  COMPLETED: ["done"],
  REJECTED: ["done"],
  CANCELLING: [
    "reserve_stock",
    "authorize_payment",
    "settle_payment",
    "reserve_again",
    "void_payment",
    "refund_payment",
    "release_stock",
  ],
  CANCELLED: ["done"],
};

const finalStates: ReadonlySet<OrderState> = new Set(["REJECTED", "COMPLETED", "CANCELLED"]);

/** Whether an order in this state never changes again. */
export function isFinal(state: OrderState): boolean {
  return finalStates.has(state);
}

/** Why an order could not be: what PlaceOrder fails with, now and at every replay. */
export interface Rejection {
  readonly reason: "OUT_OF_STOCK" | "PAYMENT_DECLINED";
  readonly message: string;
  /** The metadata of the error, but for the order's id. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Where an order stands: all that decides what comes next. */
export interface Saga {
  readonly state: OrderState;
  readonly step: Step;
  readonly reservationId: string | undefined;
  readonly paymentId: string | undefined;
  readonly rejection: Rejection | undefined;
  /** How many holds were asked for, the first among them. Each has a key of its own. */
  readonly holds: number;
  /** What was given back, in minor units. */
  readonly refunded: bigint;
}

/** How often stock is held again for a paid order whose hold ran out, before the order is undone. */
export const MAX_HOLDS = 5;

/** Where every order begins. */
export const initialSaga: Saga = {
  state: "PENDING",
  step: "reserve_stock",
  reservationId: undefined,
  paymentId: undefined,
  rejection: undefined,
  holds: 1,
  refunded: 0n,
};

/** What the world answered. Not knowing is not an event: the same command is given again. */
export type SagaEvent =
  | { readonly kind: "stock_reserved"; readonly reservationId: string }
  /** Units that can be had of each short SKU. */
  | { readonly kind: "stock_short"; readonly available: Readonly<Record<string, string>> }
  | { readonly kind: "payment_authorized"; readonly paymentId: string }
  | { readonly kind: "payment_declined"; readonly declineCode: string }
  /** Nobody will ask for the authorization again: the payment token is gone. What was asked may have come about. */
  | { readonly kind: "authorization_abandoned" }
  /** The buyer brought the payment token again, before anything was done about an authorization that was given up. */
  | { readonly kind: "token_returned" }
  /** There is no authorization, and none will come. */
  | { readonly kind: "payment_absent" }
  | { readonly kind: "payment_captured" }
  /** The authorization was let go before it was captured. */
  | { readonly kind: "payment_lapsed" }
  /** The payment gateway will not capture it, and never will under this key; it is still set aside. */
  | { readonly kind: "capture_refused" }
  | { readonly kind: "stock_committed" }
  /** The hold ran out before it was committed. */
  | { readonly kind: "hold_lapsed" }
  | { readonly kind: "cart_cleared" }
  | { readonly kind: "payment_voided" }
  /** It cannot be voided, because it was captured before. */
  | { readonly kind: "payment_was_captured" }
  | { readonly kind: "payment_refunded"; readonly amount: bigint }
  | { readonly kind: "stock_released" }
  | { readonly kind: "cancel_requested" };

/**
 * What the world is asked to do. `key` names the effect within the order: the callee keeps its answer under
 * (order, key), so that a command given twice takes effect once.
 */
export interface Command {
  readonly kind: Exclude<Step, "done">;
  readonly key: string;
}
