import {
  type OrderLine as LineMessage,
  type ShippingOption as OptionMessage,
  Order_State,
  type Order as OrderMessage,
  Return_State,
  type Return as ReturnMessage,
} from "#gen/shop/orders/v1/order.ts";
import type { StuckOrder as StuckMessage } from "#gen/shop/orders/v1/order_service.ts";
import type { Money, PricedLine } from "../domain-money.ts";
import type { Order, ShippingOption, StuckOrder } from "../domain-order.ts";
import type { OrderReturn, ReturnState } from "../domain-returns.ts";
import { type OrderState, stepsOf } from "../domain-saga.ts";

/** The order as callers see it. */
export function orderMessage(order: Order): OrderMessage {
  const money = (minorUnits: bigint): Money => ({ currencyCode: order.currencyCode, minorUnits });
  const { rejection, shippingOption } = order;
  return {
    id: order.id,
    customerId: order.customerId,
    state: Order_State[order.state],
    lines: order.lines.map((line) => lineMessage(line, order.currencyCode, line.returnedQuantity)),
    subtotal: money(order.subtotal),
    shippingPrice: shippingOption.price,
    total: money(order.total),
    refunded: money(order.refunded),
    email: order.email,
    address: order.address,
    shippingOption: optionMessage(shippingOption),
    paymentId: order.paymentId ?? "",
    rejection: rejection === undefined ? undefined : { reason: rejection.reason, message: rejection.message },
    history: order.history.map(({ time, state, actor, note }) => ({ time, state: Order_State[state], actor, note })),
    createTime: order.createTime,
    updateTime: order.updateTime,
    shipmentId: order.shipmentId ?? "",
  };
}

export function lineMessage(line: PricedLine, currencyCode: string, returnedQuantity = 0n): LineMessage {
  return {
    sku: line.sku,
    title: line.title,
    quantity: line.quantity,
    unitPrice: { currencyCode, minorUnits: line.unitPrice },
    lineTotal: { currencyCode, minorUnits: line.lineTotal },
    returnedQuantity,
  };
}

export function optionMessage({ id, title, price, minDays, maxDays }: ShippingOption): OptionMessage {
  return { id, title, price, minDays, maxDays };
}

export function stuckMessage({ order, lastError, stuckTime, backoffMs }: StuckOrder): StuckMessage {
  return {
    order: orderMessage(order),
    step: order.step,
    attempts: order.attempts,
    lastError,
    stuckTime,
    backoff: { seconds: BigInt(Math.floor(backoffMs / 1_000)), nanos: (backoffMs % 1_000) * 1_000_000 },
  };
}

/** The return as callers see it. */
export function returnMessage({ customerId: _, state, ...rest }: OrderReturn): ReturnMessage {
  return { ...rest, state: Return_State[state] };
}

/** The state that a message names; undefined for the unspecified one. */
export function stateOf(state: Order_State): OrderState | undefined {
  // The keys of stepsOf are all the states.
  return (Object.keys(stepsOf) as OrderState[]).find((name) => Order_State[name] === state);
}

const returnStates: readonly ReturnState[] = ["REQUESTED", "RECEIVED", "REFUNDED", "CANCELLED"];

/** The same of a return. */
export function returnStateOf(state: Return_State): ReturnState | undefined {
  return returnStates.find((name) => Return_State[name] === state);
}
