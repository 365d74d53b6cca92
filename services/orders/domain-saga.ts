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
  | "restock"
  | "create_shipment"
  | "cancel_shipment"
  | "done";

/** Where an order can be whose buyer has paid and has, or gets, the goods: what is due to them is worked off there. */
const paidSteps: readonly Step[] = ["restock", "refund_payment", "clear_cart", "done"];

/**
 * Which steps a state can be in. CANCELLING keeps a step whose outcome must be known before it can be undone.
 * The table's check constraint says the same.
 */
export const stepsOf: Readonly<Record<OrderState, readonly Step[]>> = {
  PENDING: ["reserve_stock", "authorize_payment", "settle_payment", "release_stock"],
  CONFIRMED: ["clear_cart", "capture_payment", "commit_stock", "reserve_again"],
  PAID: ["create_shipment", ...paidSteps],
  SHIPPED: paidSteps,
  COMPLETED: paidSteps,
  REJECTED: ["done"],
  CANCELLING: [
    "reserve_stock",
    "authorize_payment",
    "settle_payment",
    "reserve_again",
    "create_shipment",
    "cancel_shipment",
    "void_payment",
    "refund_payment",
    "release_stock",
    "restock",
  ],
  CANCELLED: ["done"],
};

const finalStates: ReadonlySet<OrderState> = new Set(["REJECTED", "COMPLETED", "CANCELLED"]);

/** Whether an order in this state never changes again. */
export function isFinal(state: OrderState): boolean {
  return finalStates.has(state);
}

/** Whether the buyer has paid and has, or gets, the goods, so that they can be returned, and money given back. */
export function isPaid(state: OrderState): boolean {
  return state === "PAID" || state === "SHIPPED" || state === "COMPLETED";
}

/** Why an order could not be: what PlaceOrder fails with, now and at every replay. */
export interface Rejection {
  readonly reason: "OUT_OF_STOCK" | "PAYMENT_DECLINED";
  readonly message: string;
  /** The metadata of the error, but for the order's id. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** How many entries can be due to a buyer at once. Beyond it nothing more is promised until one was worked off. */
export const MAX_DUE = 32;

/**
 * How many returns and refunds an order has in its whole life. Each can be a refund of its own, and a payment gateway makes
 * only so many of one capture: the port asks for this many. What is beyond it would be promised and never given. Withdrawn
 * returns count as well, so that no history grows without end.
 */
export const MAX_GIVEN_BACK = 50;

/** Units of one SKU that came back. */
export interface ReturnedLine {
  readonly sku: string;
  readonly quantity: bigint;
}

/** What the shop owes the buyer of a paid order: first it takes the goods into stock, then it gives the money back. */
export interface Due {
  /** From 1 on within the order; a part of the keys of its effects. */
  readonly seq: number;
  /** The return that came, `ret_…`; undefined for money alone. */
  readonly returnId: string | undefined;
  /** What is taken into stock; empty for money alone. */
  readonly lines: readonly ReturnedLine[];
  /** What is given back, in minor units; 0 only for goods whose price was given back before. */
  readonly amount: bigint;
}

/** Where an order stands: all that decides what comes next. */
export interface Saga {
  readonly state: OrderState;
  readonly step: Step;
  /** What is paid, in minor units. */
  readonly total: bigint;
  readonly reservationId: string | undefined;
  readonly paymentId: string | undefined;
  readonly rejection: Rejection | undefined;
  /** How many holds were asked for, the first among them. Each has a key of its own. */
  readonly holds: number;
  /** Whether it is known that the cart holds nothing of the order any more. */
  readonly cartCleared: boolean;
  /** Whether shipping brings the goods: not those of orders from before there was shipping. */
  readonly delivers: boolean;
  /** The shipment to the buyer, `shp_…`; undefined until it is booked, and again once it is called off. */
  readonly shipmentId: string | undefined;
  /** What was given back, in minor units. */
  readonly refunded: bigint;
  /**
   * What will be given back, in minor units: for all that is due, and for returns that were announced. With what was
   * given back it is never more than what was paid.
   */
  readonly promised: bigint;
  /** How many returns were announced and are not here yet. */
  readonly announced: number;
  /** How many returns were announced and withdrawn. */
  readonly withdrawn: number;
  /** How many entries ever became due. */
  readonly dues: number;
  /** Those that are not worked off, in order of their `seq`; the first is being worked off. */
  readonly due: readonly Due[];
}

/** How often stock is held again for a paid order whose hold ran out, before the order is undone. */
export const MAX_HOLDS = 5;

/** Where every order begins. */
export function newSaga({ total, delivers }: Pick<Saga, "total" | "delivers">): Saga {
  return {
    state: "PENDING",
    step: "reserve_stock",
    total,
    delivers,
    shipmentId: undefined,
    reservationId: undefined,
    paymentId: undefined,
    rejection: undefined,
    holds: 1,
    cartCleared: false,
    refunded: 0n,
    promised: 0n,
    announced: 0,
    withdrawn: 0,
    dues: 0,
    due: [],
  };
}

/** What the world answered, or somebody asked for. Not knowing is not an event: the same command is given again. */
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
  | { readonly kind: "payment_captured" }
  /** The authorization was let go before it was captured. */
  | { readonly kind: "payment_lapsed" }
  /** The payment gateway will not capture it, and never will under this key; it is still set aside. */
  | { readonly kind: "capture_refused" }
  | { readonly kind: "stock_committed" }
  /** The hold ran out before it was committed. */
  | { readonly kind: "hold_lapsed" }
  | { readonly kind: "cart_cleared" }
  /** Whether the cart was cleared is not known, and nobody is to wait for it now: it is done again at the end. */
  | { readonly kind: "cart_postponed" }
  | { readonly kind: "payment_voided" }
  /** It cannot be voided, because it was captured before. */
  | { readonly kind: "payment_was_captured" }
  | { readonly kind: "payment_refunded"; readonly amount: bigint }
  | { readonly kind: "stock_released" }
  /** It cannot be released, because it was sold before. */
  | { readonly kind: "stock_was_committed" }
  /** What was sold is in stock again. */
  | { readonly kind: "stock_restocked" }
  | ShipmentEvent
  | Request;

/** What shipping answered or told. */
export type ShipmentEvent =
  | { readonly kind: "shipment_booked"; readonly shipmentId: string }
  /** Shipping will not bring these goods there, and nothing is booked. */
  | { readonly kind: "shipment_refused" }
  | { readonly kind: "shipment_cancelled" }
  /** It cannot be called off, because something of it was loaded before. */
  | { readonly kind: "shipment_was_loaded" }
  | { readonly kind: "goods_left"; readonly shipmentId: string }
  /** Nothing of the shipment is on its way any more: all or a part of it is with the buyer, or all of it came back. */
  | { readonly kind: "goods_arrived" }
  | { readonly kind: "goods_undeliverable" };

/** What people ask for. It comes at any time, and is refused where it cannot be. */
export type Request =
  | { readonly kind: "cancel_requested" }
  /** Goods will come back, for so much money. */
  | { readonly kind: "return_announced"; readonly amount: bigint }
  /** Goods that were announced, for so much money, will not come. */
  | { readonly kind: "return_withdrawn"; readonly amount: bigint }
  /** Goods that were announced are here. */
  | {
      readonly kind: "return_received";
      readonly returnId: string;
      readonly lines: readonly ReturnedLine[];
      readonly amount: bigint;
    }
  | { readonly kind: "refund_requested"; readonly amount: bigint };

/**
 * What the world is asked to do. `key` names the effect within the order: the callee keeps its answer under
 * (order, key), so that a command given twice takes effect once.
 */
export interface Command {
  readonly kind: Exclude<Step, "done">;
  readonly key: string;
}

/**
 * What is done for an order besides, at some time soon, while it goes on: nobody waits for it. Of a kind and subject there is
 * one. Mails to the buyer; and the way back of a return.
 */
export interface Errand {
  readonly kind:
    | "mail_confirmation"
    | "mail_shipped"
    | "mail_delivered"
    | "mail_refund"
    | "fetch_return"
    | "leave_return";
  /** The shipment, the refund's name, or the return that it is about; empty for the order itself. */
  readonly subject: string;
  /** What was given back, in minor units; 0 for all but `mail_refund`. */
  readonly amount: bigint;
}

/** What a move changes; undefined for an event that cannot happen there. */
export type Move =
  | (Partial<Saga> & { readonly note: string; readonly awaitsToken?: boolean; readonly errands?: readonly Errand[] })
  | undefined;
