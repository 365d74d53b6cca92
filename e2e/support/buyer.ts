import { randomUUID } from "node:crypto";
import { Client, credentials } from "@grpc/grpc-js";
import { CartServiceService } from "#gen/shop/cart/v1/cart_service.ts";
import { IdentityServiceService } from "#gen/shop/identity/v1/identity_service.ts";
import { CheckoutServiceService, type PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import type { Order } from "#gen/shop/orders/v1/order.ts";
import { OrderServiceService } from "#gen/shop/orders/v1/order_service.ts";
import { address } from "./fixtures.ts";
import { callUnary, type UnaryMethod } from "./wire.ts";

/** A guest with a connection of their own, who has nothing but the shop's address. Calls reject with a CallFailure. */
export interface Buyer {
  readonly customerId: string;
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response>;
  add(sku: string, quantity: bigint): Promise<void>;
  /** A request to buy what is in the cart, with a request_id of its own. */
  quote(paymentToken: string): Promise<PlaceOrderRequest>;
  place(request: PlaceOrderRequest): Promise<Order>;
  order(orderId: string): Promise<Order>;
  /** What nobody must write down, in any form that could not be told. */
  secrets(): readonly string[];
  /** Gets a new access token: each is good for a quarter of an hour. Can be tried again when it fails. */
  refresh(): Promise<void>;
  close(): void;
}

const callTimeoutMs = 12_000;

/** Comes as a guest. */
export async function createBuyer(shopAddress: string): Promise<Buyer> {
  const client = new Client(shopAddress, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  let token: string | undefined;
  const call: Buyer["call"] = (method, request) =>
    callUnary(client, method, request, { token, timeoutMs: callTimeoutMs });
  const guest = await call(IdentityServiceService.createGuest, { requestId: randomUUID() });
  let refreshToken = guest.tokens?.refreshToken ?? "";
  token = guest.tokens?.accessToken;
  let refreshRequestId = randomUUID();
  return {
    customerId: guest.userId,
    call,
    async add(sku, quantity) {
      await call(CartServiceService.addItem, { requestId: randomUUID(), cartId: "", sku, quantity });
    },
    async quote(paymentToken) {
      const { cartId, options } = await call(CheckoutServiceService.quoteCheckout, { cartId: "", address });
      const [option] = options;
      return {
        requestId: randomUUID(),
        cartId,
        email: "guest@example.com",
        address,
        shippingOptionId: option?.shippingOption?.id ?? "",
        paymentToken,
        expectedTotal: option?.total,
      };
    },
    async place(request) {
      const { order } = await call(CheckoutServiceService.placeOrder, request);
      if (order === undefined) throw new Error("PlaceOrder succeeded without an order");
      return order;
    },
    async order(orderId) {
      const { order } = await call(OrderServiceService.getOrder, { orderId });
      if (order === undefined) throw new Error("GetOrder succeeded without an order");
      return order;
    },
    secrets: () => [refreshToken],
    async refresh() {
      // Under the same request_id until an answer comes: with another one, the token would look stolen.
      const { tokens } = await call(IdentityServiceService.refreshSession, {
        requestId: refreshRequestId,
        refreshToken,
      });
      refreshRequestId = randomUUID();
      refreshToken = tokens?.refreshToken ?? refreshToken;
      token = tokens?.accessToken ?? token;
    },
    close: () => client.close(),
  };
}
