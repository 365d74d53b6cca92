import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { Implementation } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import type { Packed } from "../domain-money.ts";
import { type Interference, partialService } from "./partial-service.ts";

/** What a fake catalogue says of a SKU. */
export interface FakeVariant {
  readonly price: bigint;
  readonly currencyCode?: string;
  readonly purchasable?: boolean;
  readonly packed?: Packed;
}

/** What one unit weighs and measures unless a test says otherwise. */
const usual: Packed = { weightGrams: 250, lengthMm: 120, widthMm: 80, heightMm: 60 };

export const packedOf = ({ packed = usual }: FakeVariant): Packed => packed;

/** A catalogue in memory. */
export interface FakeCatalog {
  readonly variants: Map<string, FakeVariant>;
  readonly service: Implementation;
}

export function fakeCatalog(interference: Interference): FakeCatalog {
  const variants = new Map<string, FakeVariant>();
  const batchGetVariants = async ({ skus }: { readonly skus: readonly string[] }) => ({
    variants: skus.flatMap((sku) => {
      const found = variants.get(sku);
      return found === undefined ? [] : [catalogVariant(sku, found)];
    }),
    unknownSkus: skus.filter((sku) => !variants.has(sku)),
  });
  return { variants, service: partialService(CatalogService, { batchGetVariants }, interference) };
}

function catalogVariant(sku: string, fake: FakeVariant) {
  const { price, currencyCode = "EUR", purchasable = true } = fake;
  const { weightGrams, ...dimensions } = packedOf(fake);
  return {
    variant: {
      sku,
      title: "24 V",
      price: { currencyCode, minorUnits: price },
      weightGrams,
      dimensions,
      attributes: [],
    },
    productId: `prd_${sku}`,
    productTitle: `Motor ${sku}`,
    purchasable,
  };
}

/** Carts in memory, one a user, with the id `cart_<user id>`. */
export interface FakeCarts {
  /** The units of each SKU, by cart. */
  readonly items: Map<string, Map<string, bigint>>;
  readonly service: Implementation;
}

const failCart = failures(CartService);

export function fakeCarts(interference: Interference): FakeCarts {
  const items = new Map<string, Map<string, bigint>>();
  const cleared = new Set<string>();
  const cartMessage = (id: string) => ({
    id,
    ownerId: id.slice("cart_".length),
    lines: [...(items.get(id) ?? [])].map(([sku, quantity]) => ({
      sku,
      quantity,
      title: "",
      unitPrice: undefined,
      lineTotal: undefined,
      availability: 0 as const,
    })),
    subtotal: undefined,
    updateTime: undefined,
  });
  const service = partialService(
    CartService,
    {
      getCart: async ({ cartId }, { user }) => {
        const own = `cart_${user?.id}`;
        if (cartId !== "" && cartId !== own) throw failCart("CART_NOT_FOUND", "no such cart");
        return { cart: cartMessage(own) };
      },
      clearCart: async ({ cartId, requestId, items: taken }) => {
        const cart = items.get(cartId);
        if (cart === undefined) throw failCart("CART_NOT_FOUND", "no such cart");
        if (!cleared.has(requestId)) {
          cleared.add(requestId);
          for (const { sku, quantity } of taken) {
            const left = (cart.get(sku) ?? 0n) - quantity;
            if (left > 0n) cart.set(sku, left);
            else cart.delete(sku);
          }
        }
        return { cart: cartMessage(cartId) };
      },
    },
    interference,
  );
  return { items, service };
}
