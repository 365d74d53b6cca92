/** How much there is of a SKU. `reserved` of the units on hand are held for orders. */
export interface StockLevel {
  readonly sku: string;
  readonly onHand: bigint;
  readonly reserved: bigint;
}

export interface HoldLine {
  readonly sku: string;
  readonly quantity: bigint;
}

/** A line of a reservation. Of the units that were sold, `restockedQuantity` came back. */
export interface ReservationLine extends HoldLine {
  readonly restockedQuantity: bigint;
}

export interface Shortage {
  readonly sku: string;
  readonly available: bigint;
}

export type ReservationState = "ACTIVE" | "COMMITTED" | "RELEASED" | "EXPIRED";

export type HoldError =
  | { readonly kind: "unknown_sku"; readonly sku: string }
  | { readonly kind: "out_of_stock"; readonly shortages: readonly Shortage[] };

export type AdjustError = {
  readonly kind: "stock_too_low";
  readonly level: StockLevel;
};

/** What to do with a reservation that is to end: end it, nothing because it is as wished already, or refuse. */
export type Settlement =
  | { readonly kind: "settle" }
  | { readonly kind: "unchanged" }
  | {
      readonly kind: "refuse";
      readonly because: Exclude<ReservationState, "ACTIVE">;
    };

/** What to do to take units back: bring the lines to how they are after it, or refuse. */
export type RestockPlan =
  | { readonly kind: "restock"; readonly after: readonly ReservationLine[] }
  | { readonly kind: "not_committed"; readonly state: Exclude<ReservationState, "COMMITTED"> }
  | { readonly kind: "quantity_too_large"; readonly sku: string; readonly restockable: bigint };

/** Units that can still be ordered. */
export function available(level: StockLevel): bigint {
  return level.onHand - level.reserved;
}

/** Whether every line can be held, or else every reason why not: the first unknown SKU, or all short lines. */
export function checkHold(lines: readonly HoldLine[], levels: ReadonlyMap<string, StockLevel>): HoldError | undefined {
  const shortages: Shortage[] = [];
  for (const { sku, quantity } of lines) {
    const level = levels.get(sku);
    if (level === undefined) return { kind: "unknown_sku", sku };
    if (available(level) < quantity) shortages.push({ sku, available: available(level) });
  }
  return shortages.length === 0 ? undefined : { kind: "out_of_stock", shortages };
}

/** The level after `delta` units came (or, when negative, went). Held units cannot go. */
export function adjust(level: StockLevel, delta: bigint): StockLevel | AdjustError {
  const onHand = level.onHand + delta;
  if (onHand < level.reserved) return { kind: "stock_too_low", level };
  return { ...level, onHand };
}

/**
 * Whether a reservation may be sold. One whose time is up but whose units were not given back yet still may: the
 * buyer has paid by then, and the units are there.
 */
export function planCommit(state: ReservationState): Settlement {
  switch (state) {
    case "ACTIVE":
      return { kind: "settle" };
    case "COMMITTED":
      return { kind: "unchanged" };
    case "RELEASED":
    case "EXPIRED":
      return { kind: "refuse", because: state };
  }
}

/** Whether a reservation may be given back. One that is given back already is as wished. */
export function planRelease(state: ReservationState): Settlement {
  switch (state) {
    case "ACTIVE":
      return { kind: "settle" };
    case "RELEASED":
    case "EXPIRED":
      return { kind: "unchanged" };
    case "COMMITTED":
      return { kind: "refuse", because: state };
  }
}

/**
 * Whether units of a reservation may come back into stock: all lines or none, and of a SKU at most as many as were sold
 * and have not come back. The first line that asks for more is named.
 */
export function planRestock(
  reservation: { readonly state: ReservationState; readonly lines: readonly ReservationLine[] },
  back: readonly HoldLine[],
): RestockPlan {
  const { state, lines } = reservation;
  if (state !== "COMMITTED") return { kind: "not_committed", state };
  const bySku = new Map(lines.map((line) => [line.sku, line]));
  for (const { sku, quantity } of back) {
    const line = bySku.get(sku);
    const restockable = line === undefined ? 0n : line.quantity - line.restockedQuantity;
    if (quantity > restockable) return { kind: "quantity_too_large", sku, restockable };
    if (line !== undefined) bySku.set(sku, { ...line, restockedQuantity: line.restockedQuantity + quantity });
  }
  return { kind: "restock", after: [...bySku.values()] };
}
