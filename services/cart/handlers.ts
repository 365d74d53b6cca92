import { type Cart, CartView } from "#gen/shop/cart/v1/cart.ts";
import { CartService } from "#gen/shop/cart/v1/cart_service.contract.ts";
import type {
  AddItemRequest,
  AddItemResponse,
  ClearCartRequest,
  ClearCartResponse,
  GetCartRequest,
  GetCartResponse,
  MergeCartsRequest,
  MergeCartsResponse,
  RemoveItemRequest,
  RemoveItemResponse,
  UpdateItemRequest,
  UpdateItemResponse,
} from "#gen/shop/cart/v1/cart_service.ts";
import type { CatalogService } from "#gen/shop/catalog/v1/catalog_service.contract.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Client, Handlers } from "#mesh/contract/contract.ts";
import { failures, isReason, type RpcError } from "#mesh/contract/errors.ts";
import { type Database, once, type Transaction } from "#mesh/postgres/index.ts";
import type { Call, User } from "#mesh/rpc/call.ts";
import { cartOf } from "./access.ts";
import {
  addUnits,
  type ChangeError,
  cartIdOf,
  type Line,
  MAX_LINES,
  merge,
  ownerIdOf,
  setUnits,
  takeOut,
} from "./domain.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import { fetchOffers, itemsMessage, pricedMessage } from "./pricing.ts";
import * as store from "./store.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly catalog: Client<typeof CatalogService>;
  readonly clock: Clock;
  /** The end user of a token that stands in a request; see `Mesh.verifyUser`. */
  readonly verifyUser: (token: string, call: Call) => Promise<User>;
  /** ISO 4217; the shop's. */
  readonly currencyCode: string;
}

const fail = failures(CartService);

/** The handlers of `shop.cart.v1.CartService`. */
export function cartHandlers(deps: Deps): Handlers<typeof CartService> {
  return {
    getCart: getCart(deps),
    addItem: addItem(deps),
    updateItem: updateItem(deps),
    removeItem: removeItem(deps),
    clearCart: clearCart(deps),
    mergeCarts: mergeCarts(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomerData: eraseCustomerData(deps),
  };
}

const getCart =
  (deps: Deps) =>
  async (request: GetCartRequest, call: Call): Promise<GetCartResponse> => {
    const cartId = cartOf(call, request.cartId);
    if (request.view === CartView.ITEMS) {
      return {
        cart: itemsMessage(cartId, await store.readCart(deps.db, cartId)),
      };
    }
    return { cart: await pricedCart(deps, cartId, call) };
  };

const addItem =
  (deps: Deps) =>
  async (request: AddItemRequest, call: Call): Promise<AddItemResponse> => {
    const { sku, quantity } = request;
    const cartId = cartOf(call, request.cartId);
    const { lines } = await store.readCart(deps.db, cartId);
    const skus = new Set(lines.map((line) => line.sku)).add(sku);
    // With the cart full there is no room to ask for one more; the change below then refuses it.
    const offers = await fetchOffers(deps.catalog, skus.size > MAX_LINES ? [sku] : [...skus], call);
    const offer = offers.get(sku);
    await change(deps, cartId, request, call, async (tx) => {
      // Only now, so that a copy of a call that went through is not refused for what came after.
      if (offer === undefined) throw fail("UNKNOWN_SKU", `The catalogue has no ${sku}.`, { sku });
      if (!offer.purchasable) throw fail("NOT_FOR_SALE", `${sku} is no longer for sale.`, { sku });
      const line = required(addUnits(await store.readLines(tx, cartId), { sku, quantity }));
      await store.writeLines(tx, cartId, [line]);
    });
    return { cart: await pricedCart(deps, cartId, call, offers) };
  };

const updateItem =
  (deps: Deps) =>
  async (request: UpdateItemRequest, call: Call): Promise<UpdateItemResponse> => {
    const { sku, quantity } = request;
    const cartId = cartOf(call, request.cartId);
    await change(deps, cartId, request, call, async (tx) => {
      const line = required(setUnits(await store.readLines(tx, cartId), { sku, quantity }));
      await store.writeLines(tx, cartId, [line]);
    });
    return { cart: await pricedCart(deps, cartId, call) };
  };

const removeItem =
  (deps: Deps) =>
  async (request: RemoveItemRequest, call: Call): Promise<RemoveItemResponse> => {
    const cartId = cartOf(call, request.cartId);
    await change(deps, cartId, request, call, async (tx) => {
      required(
        setUnits(await store.readLines(tx, cartId), {
          sku: request.sku,
          quantity: 0n,
        }),
      );
      await store.removeLines(tx, cartId, [request.sku]);
    });
    return { cart: await pricedCart(deps, cartId, call) };
  };

const clearCart =
  (deps: Deps) =>
  async (request: ClearCartRequest, call: Call): Promise<ClearCartResponse> => {
    const cartId = cartOf(call, request.cartId);
    await change(deps, cartId, request, call, async (tx) => {
      if (request.items.length === 0) return store.removeAllLines(tx, cartId);
      const { write, remove } = takeOut(await store.readLines(tx, cartId), request.items);
      await store.writeLines(tx, cartId, write);
      await store.removeLines(tx, cartId, remove);
    });
    return {
      cart: itemsMessage(cartId, await store.readCart(deps.db, cartId)),
    };
  };

const mergeCarts =
  (deps: Deps) =>
  async (request: MergeCartsRequest, call: Call): Promise<MergeCartsResponse> => {
    const cartId = cartOf(call, "");
    const guest = await guestOf(deps, request.guestAccessToken, call);
    const { leftSkus } = await once(deps.db, call, request, deps.clock, async (tx): Promise<MergeCartsResponse> => {
      // Only now: a copy of a merge that went through is answered though the guest's token has expired since.
      if (guest === undefined) throw fail("GUEST_TOKEN_INVALID", "The token is not a guest's, or is no longer good.");
      const guestCartId = cartIdOf(guest.id);
      const now = deps.clock.now();
      for (const id of [cartId, guestCartId].sort()) await store.lockCart(tx, { id, ownerId: ownerIdOf(id), now });
      const { write, moved, keep, left } = merge(
        await store.readLines(tx, cartId),
        await store.readLines(tx, guestCartId),
      );
      await store.writeLines(tx, cartId, write);
      await store.writeLines(tx, guestCartId, keep);
      await store.removeLines(tx, guestCartId, moved);
      return { cart: undefined, leftSkus: left };
    });
    return { cart: await pricedCart(deps, cartId, call), leftSkus };
  };

/**
 * Changes a cart once, with its row locked. What is stored as the answer is empty: a replay, too, shows the cart as it
 * is then, for an old one would be of no use to anybody.
 */
async function change(
  { db, clock }: Deps,
  cartId: string,
  request: { readonly requestId: string },
  call: Call,
  apply: (tx: Transaction) => Promise<void>,
): Promise<void> {
  await once(db, call, request, clock, async (tx): Promise<AddItemResponse> => {
    await store.lockCart(tx, {
      id: cartId,
      ownerId: ownerIdOf(cartId),
      now: clock.now(),
    });
    await apply(tx);
    return { cart: undefined };
  });
}

/** The cart with its prices; `known` are offers just fetched, which need not be asked for again. */
async function pricedCart(
  { db, catalog, currencyCode }: Deps,
  cartId: string,
  call: Call,
  known: Awaited<ReturnType<typeof fetchOffers>> = new Map(),
): Promise<Cart> {
  const row = await store.readCart(db, cartId);
  const missing = row.lines.map((line) => line.sku).filter((sku) => !known.has(sku));
  const offers = new Map([...known, ...(await fetchOffers(catalog, missing, call))]);
  return pricedMessage(cartId, row, offers, currencyCode);
}

/** The guest of a token; undefined when it is not a guest's or no longer good. */
async function guestOf({ verifyUser }: Deps, token: string, call: Call): Promise<User | undefined> {
  try {
    const user = await verifyUser(token, call);
    return user.kind === "guest" ? user : undefined;
  } catch (error) {
    if (isReason(error, "TOKEN_INVALID") || isReason(error, "TOKEN_EXPIRED")) return undefined;
    throw error;
  }
}

/** The line that a change leads to. Throws the contract's error when it cannot be made. */
function required(outcome: Line | ChangeError): Line {
  if (!("kind" in outcome)) return outcome;
  throw changeFailure(outcome);
}

function changeFailure(error: ChangeError): RpcError {
  switch (error.kind) {
    case "cart_full":
      return fail("CART_FULL", `A cart holds at most ${MAX_LINES} lines.`);
    case "quantity_limit":
      return fail(
        "QUANTITY_LIMIT",
        `There are ${error.quantity} of ${error.sku} in the cart; a line holds at most 10,000.`,
        {
          sku: error.sku,
          quantity: String(error.quantity),
        },
      );
    case "item_not_found":
      return fail("ITEM_NOT_FOUND", `There is no ${error.sku} in the cart.`, {
        sku: error.sku,
      });
  }
}
