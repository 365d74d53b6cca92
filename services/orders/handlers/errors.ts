import { CheckoutService } from "#gen/shop/orders/v1/checkout_service.contract.ts";
import { OrderService } from "#gen/shop/orders/v1/order_service.contract.ts";
import { failures, invalidArgument, meshFailure } from "#mesh/contract/errors.ts";
import type { ExpectationError, PricingError } from "../domain-money.ts";
import type { RefundError, ReturnError, ReturnState } from "../domain-returns.ts";
import type { OrderState, Rejection } from "../domain-saga.ts";
import type { SendingError } from "../shipping.ts";
import type { ChoiceError } from "../shipping-options.ts";

/** Why a cart is not quoted, or not bought. */
export type CheckoutError =
  | { readonly kind: "cart_not_found" }
  | PricingError
  | ExpectationError
  | ChoiceError
  | SendingError
  | { readonly kind: "request_id_reused"; readonly requestId: string }
  | { readonly kind: "rejected"; readonly orderId: string; readonly rejection: Rejection };

/** Why nothing is done with an order. */
export type OrderError =
  | { readonly kind: "order_not_found" }
  | { readonly kind: "state_conflict"; readonly state: OrderState | ReturnState; readonly why: string }
  | { readonly kind: "order_not_stuck" }
  | { readonly kind: "return_not_found" }
  | { readonly kind: "request_id_reused"; readonly requestId: string }
  | ReturnError
  | RefundError;

const failCheckout = failures(CheckoutService);
const failOrder = failures(OrderService);

/** The error that a call to checkout fails with. */
export function checkoutFailure(error: CheckoutError): Error {
  switch (error.kind) {
    case "cart_not_found":
      return failCheckout("CART_NOT_FOUND", "You have no such cart.");
    case "cart_empty":
      return failCheckout("CART_EMPTY", "There is nothing in the cart.");
    case "unknown_sku":
      return failCheckout("UNKNOWN_SKU", `There is no ${error.sku} in the catalogue.`, { sku: error.sku });
    case "not_for_sale":
      return failCheckout("NOT_FOR_SALE", `${error.sku} is no longer for sale.`, { sku: error.sku });
    case "foreign_price":
      return new Error(`The catalogue or the rates have a price in ${error.currencyCode}.`);
    case "amount_out_of_range":
      return invalidArgument([
        { field: "cart_id", description: "the total is beyond what an amount can be", reason: "total.range" },
      ]);
    case "currency_mismatch": {
      const { currencyCode } = error;
      return failCheckout("CURRENCY_MISMATCH", `The shop sells in ${currencyCode}.`, { currency_code: currencyCode });
    }
    case "price_changed": {
      const { currencyCode, minorUnits } = error.total;
      const metadata = { total_minor_units: String(minorUnits), currency_code: currencyCode };
      return failCheckout("PRICE_CHANGED", "The total is not the expected one; quote again.", metadata);
    }
    case "shipping_option_not_found": {
      const metadata = { shipping_option_id: error.shippingOptionId };
      const until = error.expireTime?.toISOString();
      if (until === undefined) {
        const message = "This way of sending was not quoted to you for this address; quote again.";
        return failCheckout("SHIPPING_OPTION_NOT_FOUND", message, metadata);
      }
      const message = `This way of sending could be chosen until ${until}; quote again.`;
      return failCheckout("SHIPPING_OPTION_NOT_FOUND", message, { ...metadata, expire_time: until });
    }
    case "goods_changed":
      return failCheckout("PRICE_CHANGED", "The cart is not what was quoted; quote again.");
    case "destination_not_served": {
      const { countryCode, postalCode } = error;
      const metadata = { country_code: countryCode, postal_code: postalCode };
      return failCheckout("DESTINATION_NOT_SERVED", "The shop does not deliver there.", metadata);
    }
    case "goods_too_large":
      return failCheckout("GOODS_TOO_LARGE", `${error.sku} is more than can be sent.`, { sku: error.sku });
    case "request_id_reused":
      return requestIdReused(error.requestId);
    case "rejected": {
      const { reason, message, metadata } = error.rejection;
      return failCheckout(reason, message, { ...metadata, order_id: error.orderId });
    }
  }
}

/** The error that a call to orders fails with. */
export function orderFailure(error: OrderError): Error {
  switch (error.kind) {
    case "order_not_found":
      return failOrder("ORDER_NOT_FOUND", "You have no such order.");
    case "state_conflict":
      return failOrder("STATE_CONFLICT", error.why, { state: error.state });
    case "order_not_stuck":
      return failOrder("ORDER_NOT_STUCK", "The order is not stuck.");
    case "return_not_found":
      return failOrder("RETURN_NOT_FOUND", "There is no such return.");
    case "request_id_reused":
      return requestIdReused(error.requestId);
    case "sku_not_ordered":
      return failOrder("UNKNOWN_SKU", `There is no ${error.sku} in the order.`, { sku: error.sku });
    case "quantity_too_large": {
      const { sku, returnable } = error;
      const metadata = { sku, returnable: String(returnable) };
      return failOrder("QUANTITY_TOO_LARGE", `At most ${returnable} of ${sku} can still be returned.`, metadata);
    }
    case "currency_mismatch": {
      const { currencyCode } = error;
      return failOrder("CURRENCY_MISMATCH", `The order was paid in ${currencyCode}.`, { currency_code: currencyCode });
    }
    case "amount_too_large": {
      const metadata = { limit_minor_units: String(error.limit) };
      return failOrder("AMOUNT_TOO_LARGE", "That is more than can still be given back.", metadata);
    }
  }
}

function requestIdReused(requestId: string): Error {
  return meshFailure("REQUEST_ID_REUSED", "This request_id came before with another request; nothing was done.", {
    metadata: { request_id: requestId },
  });
}
