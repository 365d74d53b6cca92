import type { OrderState } from "../domain-saga.ts";

/** The life of an order as the contract tells it: shop.orders.v1.Order.State. */
export const legal: Readonly<Record<OrderState, readonly OrderState[]>> = {
  PENDING: ["CONFIRMED", "REJECTED", "CANCELLING"],
  CONFIRMED: ["PAID", "CANCELLING"],
  PAID: ["SHIPPED", "CANCELLING"],
  SHIPPED: ["COMPLETED"],
  COMPLETED: [],
  REJECTED: [],
  CANCELLING: ["CANCELLED", "PAID", "SHIPPED"],
  CANCELLED: [],
};
