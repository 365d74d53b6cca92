/** One SKU of a cart. */
export interface Line {
  readonly sku: string;
  readonly quantity: bigint;
}

/** What the catalogue says of a SKU now. */
export interface Offer {
  readonly title: string;
  readonly purchasable: boolean;
  readonly unitPrice: Price;
}

/** An amount in minor units of a currency. */
export interface Price {
  readonly currencyCode: string;
  readonly minorUnits: bigint;
}

/** A line with what it costs, or without when it cannot be bought. */
export interface PricedLine extends Line {
  readonly title: string;
  readonly price: { readonly unit: Price; readonly total: Price } | undefined;
}

export interface PricedCart {
  readonly lines: readonly PricedLine[];
  readonly subtotal: Price;
}

export type ChangeError =
  | { readonly kind: "cart_full" }
  | {
      readonly kind: "quantity_limit";
      readonly sku: string;
      readonly quantity: bigint;
    }
  | { readonly kind: "item_not_found"; readonly sku: string };

/** A cart's limits, as its contract states them. */
export const MAX_LINES = 100;
export const MAX_QUANTITY = 10_000n;

const USER_PREFIX = "usr_";
const CART_PREFIX = "cart_";

/** The id of a person's cart. It is made from theirs: everybody has exactly one, from the start. */
export function cartIdOf(ownerId: string): string {
  return CART_PREFIX + ownerId.slice(USER_PREFIX.length);
}

/** Whose cart it is. */
export function ownerIdOf(cartId: string): string {
  return USER_PREFIX + cartId.slice(CART_PREFIX.length);
}

/** Whether a text has the form of a cart's id. */
export function isCartId(text: string): boolean {
  return text.startsWith(CART_PREFIX) && text.length > CART_PREFIX.length;
}

/** The line of a SKU after `quantity` more units went into the cart, or why they cannot. */
export function addUnits(lines: readonly Line[], { sku, quantity }: Line): Line | ChangeError {
  const before = lines.find((line) => line.sku === sku)?.quantity;
  if (before === undefined && lines.length >= MAX_LINES) return { kind: "cart_full" };
  const after = (before ?? 0n) + quantity;
  if (after > MAX_QUANTITY) return { kind: "quantity_limit", sku, quantity: before ?? 0n };
  return { sku, quantity: after };
}

/** The line with other units, or that there is none. */
export function setUnits(lines: readonly Line[], { sku, quantity }: Line): Line | ChangeError {
  return lines.some((line) => line.sku === sku) ? { sku, quantity } : { kind: "item_not_found", sku };
}

/** What a change does to the lines of one cart: some get another quantity, some go. */
export interface LineChanges {
  readonly write: readonly Line[];
  readonly remove: readonly string[];
}

/** Takes units out; a line goes when none of its units are left. SKUs that are not in the cart are passed over. */
export function takeOut(lines: readonly Line[], items: readonly Line[]): LineChanges {
  const left = new Map(lines.map((line) => [line.sku, line.quantity]));
  const touched = new Set<string>();
  for (const { sku, quantity } of items) {
    const units = left.get(sku);
    if (units === undefined) continue;
    left.set(sku, units - quantity);
    touched.add(sku);
  }
  const after = [...touched].map((sku) => ({
    sku,
    quantity: left.get(sku) ?? 0n,
  }));
  return {
    write: after.filter((line) => line.quantity > 0n),
    remove: after.filter((line) => line.quantity <= 0n).map((line) => line.sku),
  };
}

/**
 * Moves a guest's lines into a cart: units of the same SKU add up, to at most `MAX_QUANTITY`. What finds no room, being
 * over the last line or over that quantity, is left where it is; `left` names it, and `keep` is what the guest's lines
 * of which a part moved have left.
 */
export function merge(
  own: readonly Line[],
  guest: readonly Line[],
): {
  readonly write: readonly Line[];
  readonly moved: readonly string[];
  readonly keep: readonly Line[];
  readonly left: readonly string[];
} {
  const after = new Map(own.map((line) => [line.sku, line.quantity]));
  const write: Line[] = [];
  const moved: string[] = [];
  const keep: Line[] = [];
  const left: string[] = [];
  for (const { sku, quantity } of guest) {
    const units = after.get(sku) ?? 0n;
    const full = units === 0n && after.size >= MAX_LINES;
    const room = full ? 0n : MAX_QUANTITY - units;
    const moving = quantity < room ? quantity : room;
    if (moving > 0n) {
      after.set(sku, units + moving);
      write.push({ sku, quantity: units + moving });
    }
    if (moving === quantity) {
      moved.push(sku);
      continue;
    }
    left.push(sku);
    if (moving > 0n) keep.push({ sku, quantity: quantity - moving });
  }
  return { write, moved, keep, left };
}

/**
 * Prices lines by the catalogue's offers. A line without an offer, or whose product is archived, has no price and does
 * not count. Amounts stay far below int64: 100 lines of 10,000 units at no more than 10^9 minor units each.
 */
export function priceCart(
  lines: readonly Line[],
  offers: ReadonlyMap<string, Offer>,
  currencyCode: string,
): PricedCart {
  const priced = lines.map((line): PricedLine => {
    const offer = offers.get(line.sku);
    if (!offer?.purchasable || offer.unitPrice.currencyCode !== currencyCode) {
      return { ...line, title: offer?.title ?? "", price: undefined };
    }
    const total = {
      currencyCode,
      minorUnits: offer.unitPrice.minorUnits * line.quantity,
    };
    return {
      ...line,
      title: offer.title,
      price: { unit: offer.unitPrice, total },
    };
  });
  const minorUnits = priced.reduce((sum, line) => sum + (line.price?.total.minorUnits ?? 0n), 0n);
  return { lines: priced, subtotal: { currencyCode, minorUnits } };
}
