import { CartView } from "#gen/shop/cart/v1/cart.ts";
import type { CatalogVariant } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { RpcError } from "#mesh/contract/errors.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type CartItem, type Offer, type PricedCart, priceCart } from "../domain-money.ts";
import type { Address } from "../domain-order.ts";
import type { Deps } from "./deps.ts";
import type { CheckoutError } from "./errors.ts";

/** A cart as it would be bought now, without what sending it costs. */
export interface CartPrice extends PricedCart {
  readonly cartId: string;
}

/**
 * Prices the caller's cart from the catalogue: two calls, however many lines there are. Throws what the called services
 * fail with for reasons of their own.
 */
export async function priceNow(
  { cart, catalog, currencyCode }: Pick<Deps, "cart" | "catalog" | "currencyCode">,
  { cartId: asked }: { readonly cartId: string },
  call: Call,
): Promise<Result<CartPrice, CheckoutError>> {
  const found = await cart.try.getCart({ cartId: asked, view: CartView.ITEMS }, call);
  if (!found.ok) return cartError(found.error);
  const { id: cartId = "", lines = [] } = found.value.cart ?? {};
  const offers = lines.length === 0 ? new Map<string, Offer>() : await getOffers(catalog, lines, call);
  const priced = priceCart(lines, offers, currencyCode);
  return priced.ok ? ok({ ...priced.value, cartId }) : priced;
}

function cartError(error: RpcError): Result<never, CheckoutError> {
  if (error.reason === "CART_NOT_FOUND") return fail({ kind: "cart_not_found" });
  throw error;
}

async function getOffers(
  catalog: Deps["catalog"],
  lines: readonly CartItem[],
  call: Call,
): Promise<ReadonlyMap<string, Offer>> {
  const { variants } = await catalog.batchGetVariants({ skus: lines.map(({ sku }) => sku) }, call);
  return new Map(variants.flatMap(toOffer));
}

function toOffer({ variant, productTitle, purchasable }: CatalogVariant): readonly (readonly [string, Offer])[] {
  if (variant?.price === undefined) return [];
  const title = variant.title === "" ? productTitle : `${productTitle}, ${variant.title}`;
  const { lengthMm = 0, widthMm = 0, heightMm = 0 } = variant.dimensions ?? {};
  const packed = { weightGrams: variant.weightGrams, lengthMm, widthMm, heightMm };
  return [[variant.sku, { title, unitPrice: variant.price, purchasable, packed }]];
}

/** The address of a request. The contract requires one, and the mesh has checked. */
export function addressOf(address: Address | undefined): Address {
  if (address === undefined) throw new Error("A request without its required address came through.");
  const { recipient, lines, city, postalCode, region, countryCode, phone } = address;
  return { recipient, lines, city, postalCode, region, countryCode, phone };
}
