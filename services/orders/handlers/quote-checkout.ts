import type {
  QuoteCheckoutRequest,
  QuoteCheckoutResponse,
  QuotedOption,
} from "#gen/shop/orders/v1/checkout_service.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { addShipping } from "../domain-money.ts";
import { quoteRates } from "../shipping.ts";
import { userOf } from "./access.ts";
import type { Deps } from "./deps.ts";
import { checkoutFailure } from "./errors.ts";
import { lineMessage, optionMessage } from "./messages.ts";
import { addressOf, priceNow } from "./pricing.ts";

/** What the caller's cart costs now, in every way it can be sent: three calls, and nothing is written. */
export const quoteCheckout =
  (deps: Deps) =>
  async (request: QuoteCheckoutRequest, call: Call): Promise<QuoteCheckoutResponse> => {
    const priced = await priceNow(deps, request, call);
    if (!priced.ok) throw checkoutFailure(priced.error);
    const { cartId, lines, subtotal } = priced.value;
    const address = addressOf(request.address);
    const rates = await quoteRates(deps.shipping, { goods: lines, subtotal, address }, call);
    if (!rates.ok) throw checkoutFailure(rates.error);
    const sending = { customerId: userOf(call).id, goods: lines, address };
    const options = rates.value.map((rate): QuotedOption => {
      const total = addShipping(subtotal, rate.option.price);
      if (!total.ok) throw checkoutFailure(total.error);
      const shippingOption = optionMessage({ ...rate.option, id: deps.options.seal(sending, rate) });
      return { shippingOption, total: total.value, expireTime: rate.expireTime };
    });
    return { cartId, lines: lines.map((line) => lineMessage(line, subtotal.currencyCode)), subtotal, options };
  };
