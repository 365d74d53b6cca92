import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { CartServiceService } from "#gen/shop/cart/v1/cart_service.ts";
import { IdentityServiceService } from "#gen/shop/identity/v1/identity_service.ts";
import { CheckoutServiceService } from "#gen/shop/orders/v1/checkout_service.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { CallFailure, callUnary, type UnaryMethod } from "../../e2e/support/wire.ts";
import type { AcceptedOrder, LoadPlan } from "./load-plan.ts";
import type { Recorder } from "./recorder.ts";

/** A guest with a connection of their own, who buys one thing after another. */
export interface Shopper {
  readonly customerId: string;
  readonly accepted: readonly AcceptedOrder[];
  /** Shops until the window is over; the order begun last is finished. Rejects only by a defect of ours. */
  run(): Promise<void>;
  close(): void;
}

const callTimeoutMs = 10_000;
// Who is told that something went wrong does not press the button again in the same millisecond.
const pauseAfterFailureMs = 100;
// A price that changed three times in a row is no accident.
const maxQuotes = 3;

const address = {
  recipient: "Ada Example",
  lines: ["Musterstraße 1"],
  city: "Berlin",
  postalCode: "10115",
  region: "",
  countryCode: "DE",
  phone: "",
};

type Call = <Request, Response>(method: UnaryMethod<Request, Response>, request: Request) => Promise<Response>;

/** Makes a guest. Rejects with a CallFailure when the shop does not. */
export async function createShopper(plan: LoadPlan, index: number, recorder: Recorder): Promise<Shopper> {
  const client = new Client(plan.address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  let token: string | undefined;
  const call: Call = async (method, request) => {
    const startMs = recorder.now();
    try {
      const response = await callUnary(client, method, request, { token, timeoutMs: callTimeoutMs });
      recorder.succeeded(method, startMs);
      return response;
    } catch (error) {
      if (error instanceof CallFailure) recorder.failed(error);
      throw error;
    }
  };
  const guest = await call(IdentityServiceService.createGuest, { requestId: randomUUID() });
  token = guest.tokens?.accessToken;
  const accepted: AcceptedOrder[] = [];
  return {
    customerId: guest.userId,
    accepted,
    async run() {
      for (let round = 0; recorder.now() < recorder.endTimeMs; round++) {
        try {
          const order = await buy(call, chooseSkus(plan, index, round));
          accepted.push(describe(order, recorder.now()));
        } catch (error) {
          if (!(error instanceof CallFailure)) throw error;
          await delay(pauseAfterFailureMs);
        }
      }
    },
    close: () => client.close(),
  };
}

async function buy(call: Call, skus: readonly string[]): Promise<Order> {
  for (const sku of skus) {
    await call(CartServiceService.addItem, { requestId: randomUUID(), cartId: "", sku, quantity: 1n });
  }
  for (let quotes = 1; ; quotes++) {
    try {
      return await placeQuoted(call);
    } catch (error) {
      // The order before was still being cleared from the cart while this one was quoted.
      const again = error instanceof CallFailure && error.reason === "PRICE_CHANGED" && quotes < maxQuotes;
      if (!again) throw error;
    }
  }
}

async function placeQuoted(call: Call): Promise<Order> {
  const quote = await call(CheckoutServiceService.quoteCheckout, { cartId: "", address });
  const [option] = quote.options;
  if (option === undefined) throw new Error("a quote without a way to send the goods");
  const { order } = await call(CheckoutServiceService.placeOrder, {
    requestId: randomUUID(),
    cartId: quote.cartId,
    email: "ada@example.com",
    address,
    shippingOptionId: option.shippingOption?.id ?? "",
    paymentToken: "tok_visa",
    expectedTotal: option.total,
  });
  if (order === undefined) throw new Error("PlaceOrder succeeded without an order");
  return order;
}

// All shoppers together go round the whole catalogue, each from a place of their own, and nobody buys the same thing
// in two orders that follow each other.
function chooseSkus({ skus, lines, shoppers }: LoadPlan, index: number, round: number): readonly string[] {
  const first = Math.floor((index * skus.length) / shoppers) + round * lines;
  return Array.from({ length: lines }, (_, line) => skus[(first + line) % skus.length] ?? "");
}

function describe({ id: orderId, state, lines }: Order, timeMs: number): AcceptedOrder {
  const known = { [Order_State.CONFIRMED]: "CONFIRMED", [Order_State.PENDING]: "PENDING" } as const;
  const name = state === Order_State.CONFIRMED || state === Order_State.PENDING ? known[state] : "OTHER";
  return { orderId, timeMs, state: name, lines: lines.length };
}
