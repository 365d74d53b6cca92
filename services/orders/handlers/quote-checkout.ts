import type { QuoteCheckoutRequest, QuoteCheckoutResponse } from "#gen/shop/orders/v1/checkout_service.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { checkoutFailure } from "./errors.ts";
import { lineMessage, optionMessage } from "./messages.ts";
import { addressOf, quote } from "./pricing.ts";

/** What the caller's cart costs now, in every way it can be sent. */
export const quoteCheckout =
  (deps: Deps) =>
  async (request: QuoteCheckoutRequest, call: Call): Promise<QuoteCheckoutResponse> => {
    const { cartId, address } = request;
    const quoted = await quote(deps, { cartId, address: addressOf(address) }, call);
    if (!quoted.ok) throw checkoutFailure(quoted.error);
    const { lines, subtotal, options } = quoted.value;
    return {
      cartId: quoted.value.cartId,
      lines: lines.map((line) => lineMessage(line, subtotal.currencyCode)),
      subtotal,
      options: options.map(({ shippingOption, total }) => ({ shippingOption: optionMessage(shippingOption), total })),
    };
  };
