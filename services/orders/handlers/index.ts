import type { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import type { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { cancelOrder } from "./cancel-order.ts";
import type { Deps } from "./deps.ts";
import { notOffered } from "./errors.ts";
import { placeOrder } from "./place-order.ts";
import { quoteCheckout } from "./quote-checkout.ts";
import { getOrder, listOrders, watchOrder } from "./read-orders.ts";
import { listStuckOrders, retryOrder } from "./stuck-orders.ts";

/** The handlers of `shop.orders.v1.CheckoutService`. */
export function checkoutHandlers(deps: Deps): Handlers<typeof CheckoutService> {
  return { quoteCheckout: quoteCheckout(deps), placeOrder: placeOrder(deps) };
}

/** The handlers of `shop.orders.v1.OrderService`. */
export function orderHandlers(deps: Deps): Handlers<typeof OrderService> {
  return {
    getOrder: getOrder(deps),
    listOrders: listOrders(deps),
    watchOrder: watchOrder(deps),
    cancelOrder: cancelOrder(deps),
    createReturn: async () => {
      throw notOffered("returns");
    },
    receiveReturn: async () => {
      throw notOffered("returns");
    },
    listReturns: async () => {
      throw notOffered("returns");
    },
    refundOrder: async () => {
      throw notOffered("refunds");
    },
    listStuckOrders: listStuckOrders(deps),
    retryOrder: retryOrder(deps),
  };
}
