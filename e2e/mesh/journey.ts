import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { CartView } from "#gen/shop/cart/v1/cart.ts";
import { CartServiceService } from "#gen/shop/cart/v1/cart_service.ts";
import { CatalogServiceService } from "#gen/shop/catalog/v1/catalog_service.ts";
import { IdentityServiceService } from "#gen/shop/identity/v1/identity_service.ts";
import { InventoryServiceService } from "#gen/shop/inventory/v1/inventory_service.ts";
import { CheckoutServiceService } from "#gen/shop/orders/v1/checkout_service.ts";
import { OrderServiceService } from "#gen/shop/orders/v1/order_service.ts";
import { PaymentServiceService } from "#gen/shop/payments/v1/payment_service.ts";
import { address } from "../support/fixtures.ts";
import { CallFailure, type UnaryMethod } from "../support/wire.ts";

/** Makes one call; rejects with a CallFailure. */
export type Ask = <Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
  token?: string,
) => Promise<Response>;

/** An order that the shop has acknowledged. */
export interface Purchase {
  readonly orderId: string;
  readonly requestId: string;
}

/** What one shopper shops with. */
export interface Journey {
  readonly ask: Ask;
  readonly sku: string;
  /** Where the shopper notes what was bought. */
  readonly purchases: Purchase[];
}

const thinkMs = 100;
/** How often an order is looked at, a moment apart. */
const looks = 3;
const lookMs = 400;

/**
 * Comes as a guest, looks around, fills a cart, buys, and looks what became of it: a call to every public service.
 * Leaves at the first call that fails. Rejects only by a defect of ours.
 */
export async function goShopping(journey: Journey): Promise<void> {
  try {
    const token = await lookAround(journey);
    const order = await buy(journey, token);
    await lookAfter(journey, order, token);
  } catch (error) {
    if (!(error instanceof CallFailure)) throw error;
  }
}

async function lookAround({ ask, sku }: Journey): Promise<string> {
  const { tokens } = await ask(IdentityServiceService.createGuest, { requestId: randomUUID() });
  const token = tokens?.accessToken ?? "";
  const [query = ""] = sku.split("-");
  await ask(CatalogServiceService.searchProducts, { query, categorySlug: "", pageSize: 5, pageToken: "" });
  await ask(CatalogServiceService.listProducts, { categorySlug: "", pageSize: 5, pageToken: "" });
  await ask(CatalogServiceService.getProduct, { key: { $case: "sku", value: sku } });
  await ask(InventoryServiceService.getStock, { sku });
  await delay(thinkMs);
  return token;
}

async function buy({ ask, sku, purchases }: Journey, token: string): Promise<string> {
  await ask(CartServiceService.addItem, { requestId: randomUUID(), cartId: "", sku, quantity: 1n }, token);
  await ask(CartServiceService.getCart, { cartId: "", view: CartView.PRICED }, token);
  const { cartId, options } = await ask(CheckoutServiceService.quoteCheckout, { cartId: "", address }, token);
  const [option] = options;
  const request = {
    requestId: randomUUID(),
    cartId,
    email: "guest@example.com",
    address,
    shippingOptionId: option?.shippingOption?.id ?? "",
    paymentToken: "tok_visa",
    expectedTotal: option?.total,
  };
  const { order } = await ask(CheckoutServiceService.placeOrder, request, token);
  if (order === undefined) throw new Error("PlaceOrder succeeded without an order");
  purchases.push({ orderId: order.id, requestId: request.requestId });
  return order.id;
}

async function lookAfter({ ask }: Journey, orderId: string, token: string): Promise<void> {
  let paymentId = "";
  for (let look = 0; look < looks; look++) {
    await delay(lookMs);
    const { order } = await ask(OrderServiceService.getOrder, { orderId }, token);
    paymentId = order?.paymentId ?? "";
  }
  if (paymentId !== "") await ask(PaymentServiceService.getPayment, { paymentId }, token);
}
