import { randomUUID } from "node:crypto";
import type { Order } from "#gen/shop/orders/v1/order.ts";
import type { WatchOrderResponse } from "#gen/shop/orders/v1/order_service.ts";
import { address } from "./fixtures.ts";
import { ask, type ShopClients, signedBy } from "./generated-client.ts";

/** Who buys: an access token, and where the confirmation goes. */
export interface Customer {
  readonly token: string;
  readonly email: string;
}

/** What there is of a SKU. */
export async function stockOf(clients: ShopClients, wanted: string) {
  const { stock } = await ask(clients.inventory, "getStock", { sku: wanted });
  if (stock === undefined) throw new Error("no stock in the answer");
  const { onHand, available, reserved } = stock;
  return { onHand, available, reserved };
}

/** Buys what is in the customer's cart, in the first way that it can be sent. */
export async function placeOrder(clients: ShopClients, { token, email }: Customer, paymentToken: string) {
  const quote = await ask(clients.checkout, "quoteCheckout", { cartId: "", address }, token);
  const request = {
    requestId: randomUUID(),
    cartId: "",
    email,
    address,
    shippingOptionId: quote.options[0]?.shippingOption?.id ?? "",
    paymentToken,
    expectedTotal: quote.options[0]?.total,
  };
  const { order } = await ask(clients.checkout, "placeOrder", request, token);
  return order;
}

/** Watches an order until it is as wished, and returns it then. */
export async function orderWhen(
  clients: ShopClients,
  { token }: Pick<Customer, "token">,
  { orderId, wished }: { readonly orderId: string; readonly wished: (order: Order) => boolean },
): Promise<Order> {
  const stream = clients.orders.watchOrder({ orderId, resumeToken: "" }, signedBy(token));
  // Left before its end, on purpose; that is an error to the stream and to nobody else.
  stream.on("error", () => undefined);
  const messages: AsyncIterable<WatchOrderResponse> = stream;
  try {
    for await (const { order } of messages) {
      if (order !== undefined && wished(order)) return order;
    }
  } finally {
    stream.cancel();
  }
  throw new Error("the stream ended before");
}
