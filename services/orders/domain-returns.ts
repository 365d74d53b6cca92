import { mayPromiseMore, refundable } from "./domain-due.ts";
import type { Money } from "./domain-money.ts";
import type { Order, OrderLine } from "./domain-order.ts";
import { fail, ok, type Result } from "./domain-result.ts";
import { isPaid, MAX_GIVEN_BACK, type OrderState, type ReturnedLine } from "./domain-saga.ts";

/** The life of a return; see `shop.orders.v1.Return.State`. */
export type ReturnState = "REQUESTED" | "RECEIVED" | "REFUNDED" | "CANCELLED";

/** Goods of an order that come back. */
export interface OrderReturn {
  /** `ret_…` */
  readonly id: string;
  readonly orderId: string;
  readonly customerId: string;
  readonly state: ReturnState;
  readonly lines: readonly ReturnedLine[];
  /** What is given back for it. */
  readonly refund: Money;
  /** Why, as the customer put it. */
  readonly note: string;
  /** The shipment that brings it back, `shp_…`; empty while there is none. */
  readonly shipmentId: string;
  readonly createTime: Date;
  readonly updateTime: Date;
}

/** Why nothing of an order comes back. */
export type ReturnError =
  | { readonly kind: "state_conflict"; readonly state: OrderState; readonly why: string }
  | { readonly kind: "sku_not_ordered"; readonly sku: string }
  | { readonly kind: "quantity_too_large"; readonly sku: string; readonly returnable: bigint };

/** Why no money of an order is given back. */
export type RefundError =
  | { readonly kind: "state_conflict"; readonly state: OrderState; readonly why: string }
  | { readonly kind: "currency_mismatch"; readonly currencyCode: string }
  | { readonly kind: "amount_too_large"; readonly limit: bigint };

const TOO_MANY = `An order has at most ${MAX_GIVEN_BACK} returns and refunds in all.`;

/**
 * What is given back for these goods, in minor units: their price, without what sending cost; but never more than what
 * was paid and is neither given back nor promised. All of a SKU's units that were announced, came back, and are in
 * `items` are never more than what was ordered.
 */
export function planReturn(order: Order, items: readonly ReturnedLine[]): Result<bigint, ReturnError> {
  const { state } = order;
  if (!isPaid(state)) return fail({ kind: "state_conflict", state, why: "Only goods that are paid for come back." });
  if (!mayPromiseMore(order)) return fail({ kind: "state_conflict", state, why: TOO_MANY });
  let price = 0n;
  for (const { sku, quantity } of items) {
    const line = order.lines.find((one) => one.sku === sku);
    if (line === undefined) return fail({ kind: "sku_not_ordered", sku });
    const returnable = line.quantity - line.announcedQuantity - line.returnedQuantity;
    if (quantity > returnable) return fail({ kind: "quantity_too_large", sku, returnable });
    price += line.unitPrice * quantity;
  }
  const limit = refundable(order);
  return ok(price < limit ? price : limit);
}

/** Whether so much money can be promised to the buyer, for which no goods come back. */
export function checkRefund(order: Order, amount: Money): Result<undefined, RefundError> {
  const { state, currencyCode } = order;
  if (!isPaid(state)) return fail({ kind: "state_conflict", state, why: "Only what was paid can be given back." });
  if (!mayPromiseMore(order)) return fail({ kind: "state_conflict", state, why: TOO_MANY });
  if (amount.currencyCode !== currencyCode) return fail({ kind: "currency_mismatch", currencyCode });
  const limit = refundable(order);
  return amount.minorUnits > limit ? fail({ kind: "amount_too_large", limit }) : ok(undefined);
}

/** The lines of an order once these goods are announced. */
export function withAnnounced(lines: readonly OrderLine[], goods: readonly ReturnedLine[]): readonly OrderLine[] {
  return lines.map((line) => ({ ...line, announcedQuantity: line.announcedQuantity + unitsOf(line, goods) }));
}

/** The lines of an order once it is known that these goods, which were announced, will not come. */
export function withWithdrawn(lines: readonly OrderLine[], goods: readonly ReturnedLine[]): readonly OrderLine[] {
  return lines.map((line) => ({ ...line, announcedQuantity: line.announcedQuantity - unitsOf(line, goods) }));
}

/** The lines of an order once these goods, which were announced, are here. */
export function withReturned(lines: readonly OrderLine[], goods: readonly ReturnedLine[]): readonly OrderLine[] {
  return lines.map((line) => ({
    ...line,
    announcedQuantity: line.announcedQuantity - unitsOf(line, goods),
    returnedQuantity: line.returnedQuantity + unitsOf(line, goods),
  }));
}

function unitsOf({ sku }: OrderLine, goods: readonly ReturnedLine[]): bigint {
  return goods.find((one) => one.sku === sku)?.quantity ?? 0n;
}
