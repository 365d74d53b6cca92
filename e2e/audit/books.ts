/** All that the shop and the payment gateway have written down, as their own records say, in no service's words. */
export interface Books {
  readonly orders: readonly OrderRow[];
  readonly events: readonly EventRow[];
  readonly returns: readonly ReturnRow[];
  /** What is still to be done for orders besides. */
  readonly errands: readonly ErrandRow[];
  readonly shipments: readonly ShipmentRow[];
  /** The orders that a confirmation was written for, once for each. */
  readonly confirmations: readonly { readonly orderId: string }[];
  readonly payments: readonly PaymentRow[];
  readonly operations: readonly OperationRow[];
  /** The sums of the ledger by account and currency. */
  readonly ledger: readonly LedgerRow[];
  /** Operations whose lines in the ledger do not balance by themselves. */
  readonly unbalanced: readonly string[];
  readonly stock: readonly StockRow[];
  /** The sums of the movements by SKU and kind. */
  readonly movements: readonly MovementRow[];
  readonly reservations: readonly ReservationRow[];
  /** What moved at the payment gateway, by its own account. */
  readonly transactions: readonly TransactionRow[];
}

export interface OrderRow {
  readonly id: string;
  readonly customerId: string;
  readonly requestId: string;
  readonly state: string;
  readonly step: string;
  readonly reservationId: string | null;
  readonly paymentId: string | null;
  /** Whether a process holds it, or held it and died. */
  readonly leased: boolean;
  readonly attempts: number;
  readonly lastError: string;
  readonly version: number;
  readonly currency: string;
  readonly total: bigint;
  readonly refunded: bigint;
  readonly lines: readonly OrderLine[];
}

export interface OrderLine {
  readonly sku: string;
  readonly quantity: number;
  readonly returned: number;
}

export interface EventRow {
  readonly orderId: string;
  readonly seq: number;
  readonly state: string;
  readonly note: string;
}

export interface ReturnRow {
  readonly id: string;
  readonly orderId: string;
  readonly state: string;
}

export interface ErrandRow {
  readonly orderId: string;
  readonly kind: string;
  readonly attempts: number;
  readonly lastError: string;
}

export interface ShipmentRow {
  readonly id: string;
  readonly orderId: string;
  /** Empty when the goods go to the buyer. */
  readonly returnId: string;
  readonly state: string;
}

export interface PaymentRow {
  readonly id: string;
  readonly orderId: string;
  readonly state: string;
  readonly currency: string;
  readonly captured: bigint;
  readonly refunded: bigint;
  readonly pendingOperationId: string | null;
}

export interface OperationRow {
  readonly id: string;
  readonly paymentId: string;
  readonly kind: string;
  readonly state: string;
}

export interface LedgerRow {
  readonly account: string;
  readonly currency: string;
  readonly debit: bigint;
  readonly credit: bigint;
}

export interface StockRow {
  readonly sku: string;
  readonly onHand: bigint;
  readonly reserved: bigint;
}

export interface MovementRow {
  readonly sku: string;
  readonly kind: string;
  readonly onHandDelta: bigint;
  readonly reservedDelta: bigint;
}

export interface ReservationRow {
  readonly id: string;
  /** The order that it was made for. */
  readonly reference: string;
  readonly state: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number; readonly restocked: number }[];
}

export interface TransactionRow {
  readonly id: string;
  readonly type: "authorization" | "capture" | "void" | "refund";
  readonly authorizationId: string;
  /** The order, as payments named it. */
  readonly reference: string;
  readonly currency: string;
  readonly amount: bigint;
}

/** What buyers know: what they were told, and what they were told when they asked again. */
export interface BuyersWord {
  /** Every order that an answer named. */
  readonly acknowledged: readonly { readonly orderId: string; readonly requestId: string }[];
  /** Every request that was sent at all; empty when nobody kept them. */
  readonly asked: ReadonlySet<string>;
  /** The last answer to a request and the answer to the same request after all was over, as texts to compare. */
  readonly replays: readonly { readonly requestId: string; readonly first: string; readonly again: string }[];
}

/** One thing that must always be true, over all of the books. */
export interface Finding {
  /** Of the design's section 4, from 1 to 8. */
  readonly invariant: number;
  readonly what: string;
  /** How many things were looked at. */
  readonly checked: number;
  /** One line for each that is not as it must be. */
  readonly violations: readonly string[];
}
