import type { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import type { InventoryService } from "#gen/shop/inventory/v1/inventory_service.contract.ts";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import type { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import type { ShippingService } from "#gen/shop/shipping/v1/shipping_service.contract.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { RpcError } from "#mesh/contract/errors.ts";
import type { OwnCall } from "#mesh/rpc/call.ts";
import { isClearingCart, type Order } from "./domain-order.ts";
import type { Command } from "./domain-saga.ts";
import { event, malformed, type StepOutcome, type Task, unknown } from "./step-outcome.ts";
import { cancelShipment, createShipment } from "./steps-shipping.ts";

/**
 * How long stock is held: far longer than an order takes, and than a payment token is kept. It is a part of the request:
 * with another value an order that is under way would ask for another thing under the same key, and be refused.
 */
const HOLD_SECONDS = 15n * 60n;

/** How long each step's calls may take together; all are well within a lease. */
const timeoutsMs: Readonly<Record<Command["kind"], number>> = {
  reserve_stock: 5_000,
  reserve_again: 5_000,
  authorize_payment: 10_000,
  settle_payment: 10_000,
  capture_payment: 10_000,
  commit_stock: 5_000,
  clear_cart: 5_000,
  void_payment: 10_000,
  refund_payment: 10_000,
  release_stock: 5_000,
  restock: 5_000,
  create_shipment: 5_000,
  cancel_shipment: 5_000,
};

export interface StepDeps {
  readonly cart: Client<typeof CartService>;
  readonly inventory: Client<typeof InventoryService>;
  readonly payments: Client<typeof PaymentService>;
  readonly shipping: Client<typeof ShippingService>;
  /** How long the cart may take while a buyer waits. */
  readonly cartMs: number;
  /** Makes the `Call` of work that goes on whether or not the buyer still waits. */
  readonly background: (options: { name: string; timeoutMs: number; signal: AbortSignal }) => OwnCall;
}

/**
 * Carries out commands: one call each. Whatever fails for a reason that says nothing about the effect is `known: false`,
 * to be tried again in the same way.
 */
export function createSteps(deps: StepDeps): (
  command: Command,
  order: Order,
  options: {
    /** The buyer's payment token: without it authorize_payment is given up, with it settle_payment goes back there. */
    readonly token: string | undefined;
    readonly signal: AbortSignal;
  },
) => Promise<StepOutcome> {
  const perform: Readonly<Record<Command["kind"], (task: Task) => Promise<StepOutcome>>> = {
    reserve_stock: reserveStock(deps),
    reserve_again: reserveStock(deps),
    authorize_payment: authorizePayment(deps),
    settle_payment: settlePayment(deps),
    capture_payment: capturePayment(deps),
    commit_stock: commitStock(deps),
    clear_cart: clearCart(deps),
    void_payment: voidPayment(deps),
    refund_payment: refundPayment(deps),
    release_stock: releaseStock(deps),
    restock: restock(deps),
    create_shipment: createShipment(deps),
    cancel_shipment: cancelShipment(deps),
  };
  return async ({ kind, key }, order, { token, signal }) => {
    const timeoutMs = isClearingCart(order) ? deps.cartMs : timeoutsMs[kind];
    const call = deps.background({ name: kind, timeoutMs, signal });
    try {
      return await perform[kind]({ order, requestId: `${order.id}:${key}`, call, token });
    } finally {
      call.done();
    }
  };
}

const reserveStock =
  ({ inventory }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const lines = order.lines.map(({ sku, quantity }) => ({ sku, quantity }));
    const timeToLive = { seconds: HOLD_SECONDS, nanos: 0 };
    const request = { requestId, reference: order.id, lines, timeToLive };
    const held = await inventory.try.createReservation(request, call);
    if (held.ok) {
      const reservationId = held.value.reservation?.id;
      return reservationId === undefined ? malformed("reservation") : event({ kind: "stock_reserved", reservationId });
    }
    const { reason, metadata } = held.error;
    if (reason === "OUT_OF_STOCK") return event({ kind: "stock_short", available: availableUnits(metadata) });
    // Of a SKU that the catalogue sells and nobody ever stocked there are none.
    if (reason === "UNKNOWN_SKU") return event({ kind: "stock_short", available: { [metadata.sku ?? ""]: "0" } });
    return unknown(held.error);
  };

const AVAILABLE_PREFIX = "available.";

function availableUnits(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(metadata)
      .filter(([name]) => name.startsWith(AVAILABLE_PREFIX))
      .map(([name, units]) => [name.slice(AVAILABLE_PREFIX.length), units]),
  );
}

const authorizePayment =
  ({ payments }: StepDeps) =>
  async ({ order, requestId, call, token }: Task): Promise<StepOutcome> => {
    if (token === undefined) return event({ kind: "authorization_abandoned" });
    const { id: orderId, customerId } = order;
    const request = { requestId, orderId, customerId, amount: totalOf(order), paymentToken: token };
    const asked = await payments.try.authorizePayment(request, call);
    if (asked.ok) {
      const paymentId = asked.value.payment?.id;
      return paymentId === undefined ? malformed("payment") : event({ kind: "payment_authorized", paymentId });
    }
    const { reason, metadata } = asked.error;
    if (reason === "PAYMENT_DECLINED") {
      return event({ kind: "payment_declined", declineCode: metadata.decline_code ?? "" });
    }
    return unknown(asked.error);
  };

/**
 * Finds out how an authorization ended that nobody asks for any more, and has payments refuse it should it come late.
 * With the token it is asked for again instead: what payments says then is as final.
 */
const settlePayment =
  ({ payments }: StepDeps) =>
  async ({ order, requestId, call, token }: Task): Promise<StepOutcome> => {
    if (token !== undefined) return event({ kind: "token_returned" });
    const { id: orderId, customerId } = order;
    const request = { requestId, orderId, customerId, amount: totalOf(order) };
    const settled = await payments.try.settleAuthorization(request, call);
    if (!settled.ok) return unknown(settled.error);
    const { payment } = settled.value;
    if (payment === undefined) return malformed("payment");
    const { id: paymentId, state, declineCode } = payment;
    if (state === Payment_State.AUTHORIZED || state === Payment_State.CAPTURED) {
      return event({ kind: "payment_authorized", paymentId });
    }
    // One that has lapsed since is as good as none.
    const isDeclined = state === Payment_State.DECLINED;
    return event({ kind: "payment_declined", declineCode: isDeclined ? declineCode : "abandoned" });
  };

const capturePayment =
  ({ payments }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const request = { requestId, paymentId: order.paymentId ?? "", amount: totalOf(order) };
    const captured = await payments.try.capturePayment(request, call);
    if (captured.ok) return event({ kind: "payment_captured" });
    if (isLapsed(captured.error)) return event({ kind: "payment_lapsed" });
    return isCaptureRefused(captured.error) ? event({ kind: "capture_refused" }) : unknown(captured.error);
  };

/** Whether the answer is that nothing is set aside any more. */
function isLapsed({ reason, metadata }: RpcError): boolean {
  return reason === "STATE_CONFLICT" && (metadata.state === "VOIDED" || metadata.state === "EXPIRED");
}

/** Whether the payment gateway refused, and the money is still set aside: the order is undone, not asked for again. */
function isCaptureRefused({ reason, metadata }: RpcError): boolean {
  return reason === "AMOUNT_TOO_LARGE" || (reason === "STATE_CONFLICT" && metadata.state === "AUTHORIZED");
}

const voidPayment =
  ({ payments }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const voided = await payments.try.voidPayment({ requestId, paymentId: order.paymentId ?? "" }, call);
    if (voided.ok || isLapsed(voided.error)) return event({ kind: "payment_voided" });
    const { reason, metadata } = voided.error;
    const captured = reason === "STATE_CONFLICT" && metadata.state === "CAPTURED";
    return captured ? event({ kind: "payment_was_captured" }) : unknown(voided.error);
  };

/** Gives back what is due first, or everything of an order that is undone. */
const refundPayment =
  ({ payments }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const { currencyCode, total, paymentId = "" } = order;
    const [{ amount, returnId }] = order.due.length > 0 ? order.due : [{ amount: total, returnId: undefined }];
    const note = order.state === "CANCELLING" ? "order cancelled" : (returnId ?? "refund");
    const request = { requestId, paymentId, amount: { currencyCode, minorUnits: amount }, note };
    const refunded = await payments.try.createRefund(request, call);
    return refunded.ok ? event({ kind: "payment_refunded", amount }) : unknown(refunded.error);
  };

const commitStock =
  ({ inventory }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const request = { requestId, reservationId: order.reservationId ?? "" };
    const committed = await inventory.try.commitReservation(request, call);
    if (committed.ok) return event({ kind: "stock_committed" });
    const { reason } = committed.error;
    const lapsed = reason === "RESERVATION_EXPIRED" || reason === "RESERVATION_RELEASED";
    return lapsed ? event({ kind: "hold_lapsed" }) : unknown(committed.error);
  };

const releaseStock =
  ({ inventory }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const request = { requestId, reservationId: order.reservationId ?? "" };
    const released = await inventory.try.releaseReservation(request, call);
    if (released.ok) return event({ kind: "stock_released" });
    const { reason } = released.error;
    return reason === "RESERVATION_COMMITTED" ? event({ kind: "stock_was_committed" }) : unknown(released.error);
  };

/** Takes back into stock the goods of what is due first, or everything of an order that is undone. */
const restock =
  ({ inventory }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const sold = order.due[0]?.lines ?? order.lines;
    const lines = sold.map(({ sku, quantity }) => ({ sku, quantity }));
    const request = { requestId, reservationId: order.reservationId ?? "", lines };
    const restocked = await inventory.try.restockReservation(request, call);
    return restocked.ok ? event({ kind: "stock_restocked" }) : unknown(restocked.error);
  };

const clearCart =
  ({ cart }: StepDeps) =>
  async ({ order, requestId, call }: Task): Promise<StepOutcome> => {
    const items = order.lines.map(({ sku, quantity }) => ({ sku, quantity }));
    const cleared = await cart.try.clearCart({ requestId, cartId: order.cartId, items }, call);
    // A cart that is gone holds nothing of the order any more.
    if (cleared.ok || cleared.error.reason === "CART_NOT_FOUND") return event({ kind: "cart_cleared" });
    return isClearingCart(order) ? event({ kind: "cart_postponed" }) : unknown(cleared.error);
  };

function totalOf({ currencyCode, total }: Order): { readonly currencyCode: string; readonly minorUnits: bigint } {
  return { currencyCode, minorUnits: total };
}
