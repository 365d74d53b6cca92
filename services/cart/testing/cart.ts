import { CartView } from "#gen/shop/cart/v1/cart.ts";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import { type Handlers, implement } from "#mesh/contract/contract.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import { newId } from "#mesh/ids.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { testDatabase } from "#testing/postgres.ts";
import { cartHandlers } from "../handlers.ts";

/** Carts on a real database, with a catalogue in memory behind them. */
export interface TestCarts {
  readonly mesh: TestMesh;
  /** In minor units; a negative one is of something that is no longer for sale. */
  readonly prices: Map<string, bigint>;
  /** How often the catalogue was asked. */
  catalogCalls(): number;
  close(): Promise<void>;
}

/** Starts it; close it when the test ends. */
export async function startTestCarts(): Promise<TestCarts> {
  const catalog = fakeCatalog();
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const mesh = await startTestMesh({
    catalog: () => [implement(CatalogService, catalog.handlers)],
    cart: (node) => {
      const client = node.client(CatalogService);
      const { verifyUser } = node;
      const deps = { db: database.db, catalog: client, clock: fakeClock(), verifyUser, currencyCode: "EUR" };
      return [implement(CartService, cartHandlers(deps))];
    },
  });
  return {
    mesh,
    prices: catalog.prices,
    catalogCalls: () => catalog.calls,
    close: async () => {
      await mesh.close();
      await database.close();
    },
  };
}

/** A catalogue: what these tests need of the real one, behind the real contract. */
function fakeCatalog() {
  const prices = new Map<string, bigint>([
    ["MOTOR", 12_900n],
    ["GEAR", 8_450n],
    ["OLD", -1n],
  ]);
  for (let at = 0; at < 120; at += 1) prices.set(`BULK-${at}`, 1n);
  const notHere = (): never => {
    throw meshFailure("METHOD_UNKNOWN", "not part of this test");
  };
  const handlers: Handlers<typeof CatalogService> = {
    batchGetVariants: async ({ skus }) => {
      catalog.calls += 1;
      const known = skus.filter((sku) => prices.has(sku));
      return {
        variants: known.map((sku) => variant(sku, prices.get(sku) ?? 0n)),
        unknownSkus: skus.filter((sku) => !prices.has(sku)),
      };
    },
    getProduct: notHere,
    listProducts: notHere,
    searchProducts: notHere,
    listCategories: notHere,
    createProduct: notHere,
    updateProduct: notHere,
    archiveProduct: notHere,
    importProducts: notHere,
  };
  const catalog = { prices, handlers, calls: 0 };
  return catalog;
}

function variant(sku: string, price: bigint) {
  return {
    variant: {
      sku,
      title: "24 V",
      price: { currencyCode: "EUR", minorUnits: price < 0n ? 100n : price },
      weightGrams: 1,
      dimensions: undefined,
      attributes: [],
    },
    productId: "prd_1",
    productTitle: `Product ${sku}`,
    purchasable: price >= 0n,
  };
}

/** What shoppers ask of carts, in short. */
export function shoppersOf(carts: () => TestCarts) {
  const client = () => carts().mesh.mesh("gateway").client(CartService);
  const as = (user: Partial<User>): Call => carts().mesh.call({ user });
  const get = async (user: Partial<User>, cartId = "") => {
    const { cart } = await client().getCart({ cartId, view: CartView.PRICED }, as(user));
    if (cart === undefined) throw new Error("an answer without a cart");
    return cart;
  };
  return {
    client,
    as,
    get,
    person: (kind: User["kind"] = "customer"): Partial<User> => ({ id: newId("usr"), kind }),
    add: (user: Partial<User>, sku: string, quantity = 1n, requestId = newId("req")) =>
      client().try.addItem({ requestId, cartId: "", sku, quantity }, as(user)),
    quantities: async (user: Partial<User>) =>
      Object.fromEntries((await get(user)).lines.map(({ sku, quantity }) => [sku, quantity])),
  };
}
