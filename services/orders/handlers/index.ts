import type { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import type { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { cancelOrder } from "./cancel-order.ts";
import { cancelReturn } from "./cancel-return.ts";
import { createReturn } from "./create-return.ts";
import type { Deps } from "./deps.ts";
import { listReturns } from "./list-returns.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import { placeOrder } from "./place-order.ts";
import { quoteCheckout } from "./quote-checkout.ts";
import { getCustomerSpending, getOrder, listOrders, watchOrder } from "./read-orders.ts";
import { receiveReturn } from "./receive-return.ts";
import { refundOrder } from "./refund-order.ts";
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
    createReturn: createReturn(deps),
    cancelReturn: cancelReturn(deps),
    receiveReturn: receiveReturn(deps),
    listReturns: listReturns(deps),
    refundOrder: refundOrder(deps),
    listStuckOrders: listStuckOrders(deps),
    retryOrder: retryOrder(deps),
    getCustomerSpending: getCustomerSpending(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomerData: eraseCustomerData(deps),
  };
}
