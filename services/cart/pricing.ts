import { type Cart, CartLine_Availability } from "#gen/shop/cart/v1/cart.ts";
import type { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { CatalogVariant } from "#gen/shop/catalog/v1/catalog_service.ts";
import type { Client } from "#mesh/contract/contract.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { type Offer, ownerIdOf, priceCart } from "./domain.ts";
import type { CartRow } from "./store.ts";

/** What the catalogue says of each SKU; those it does not know are left out. One call at the most, for up to 100. */
export async function fetchOffers(
  catalog: Client<typeof CatalogService>,
  skus: readonly string[],
  call: Call,
): Promise<ReadonlyMap<string, Offer>> {
  if (skus.length === 0) return new Map();
  const { variants } = await catalog.batchGetVariants({ skus }, call);
  return new Map(variants.flatMap((variant) => offerOf(variant)));
}

function offerOf({ variant, productTitle, purchasable }: CatalogVariant): readonly (readonly [string, Offer])[] {
  if (variant?.price === undefined) return [];
  const title = variant.title === "" ? productTitle : `${productTitle}, ${variant.title}`;
  return [[variant.sku, { title, purchasable, unitPrice: variant.price }]];
}

/** A cart in the view PRICED. */
export function pricedMessage(
  cartId: string,
  row: CartRow,
  offers: ReadonlyMap<string, Offer>,
  currencyCode: string,
): Cart {
  const { lines, subtotal } = priceCart(row.lines, offers, currencyCode);
  return {
    id: cartId,
    ownerId: ownerIdOf(cartId),
    lines: lines.map(({ sku, quantity, title, price }) => ({
      sku,
      quantity,
      title,
      unitPrice: price?.unit,
      lineTotal: price?.total,
      availability: price === undefined ? CartLine_Availability.NOT_FOR_SALE : CartLine_Availability.FOR_SALE,
    })),
    subtotal,
    updateTime: row.updateTime,
  };
}

/** A cart in the view ITEMS. */
export function itemsMessage(cartId: string, row: CartRow): Cart {
  return {
    id: cartId,
    ownerId: ownerIdOf(cartId),
    lines: row.lines.map((line) => ({
      ...line,
      title: "",
      unitPrice: undefined,
      lineTotal: undefined,
      availability: CartLine_Availability.UNSPECIFIED,
    })),
    subtotal: undefined,
    updateTime: row.updateTime,
  };
}
