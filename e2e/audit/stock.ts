import type { Books, Finding, OrderRow, ReservationRow } from "./books.ts";
import { groupBy, sum } from "./figures.ts";

const soldStates = ["PAID", "SHIPPED", "COMPLETED"];

/** Invariant 3: what was stocked is there, held or sold, and no unit is sold twice. */
export function checkStock(books: Books): readonly Finding[] {
  return [checkEquation(books), checkSales(books)];
}

function checkEquation({ stock, movements, reservations, orders }: Books): Finding {
  const movesOf = groupBy(movements, ({ sku }) => sku);
  const held = quantities(
    reservations.filter(({ state }) => state === "ACTIVE"),
    ({ quantity }) => quantity,
  );
  const sold = quantities(
    orders.filter(({ state }) => soldStates.includes(state)),
    ({ quantity, returned }) => quantity - returned,
  );
  const violations = stock.flatMap(({ sku, onHand, reserved }) => {
    const moves = movesOf.get(sku) ?? [];
    const stocked = sum(
      moves.filter(({ kind }) => kind === "ADJUSTED"),
      ({ onHandDelta }) => onHandDelta,
    );
    const counted = [
      ["negative", onHand >= 0n && reserved >= 0n && reserved <= onHand],
      [
        `${onHand} on hand, ${sum(moves, (move) => move.onHandDelta)} by movements`,
        onHand === sum(moves, (move) => move.onHandDelta),
      ],
      [
        `${reserved} held, ${sum(moves, (move) => move.reservedDelta)} by movements`,
        reserved === sum(moves, (move) => move.reservedDelta),
      ],
      [`${reserved} held, ${held.get(sku) ?? 0n} by reservations`, reserved === (held.get(sku) ?? 0n)],
      [
        `${onHand} on hand + ${sold.get(sku) ?? 0n} sold by orders ≠ ${stocked} stocked`,
        onHand + (sold.get(sku) ?? 0n) === stocked,
      ],
    ] as const;
    return counted.filter(([, holds]) => !holds).map(([what]) => `${sku}: ${what}`);
  });
  return {
    invariant: 3,
    what: "available + reserved + sold = stocked, and none negative",
    checked: stock.length,
    violations,
  };
}

/** Every order that sold something has its own reservation for just that, and no other has one. */
function checkSales({ orders, reservations }: Books): Finding {
  const ofOrder = groupBy(reservations, ({ reference }) => reference);
  const known = new Set(orders.map(({ id }) => id));
  const violations = orders.flatMap((order) => {
    const committed = (ofOrder.get(order.id) ?? []).filter(({ state }) => state === "COMMITTED");
    const kept = committed.map(keptUnits).filter((units) => units !== "");
    const expected = soldStates.includes(order.state) ? keptOf(order) : "";
    if (kept.join(" and ") === expected) return [];
    return [`${order.id} (${order.state}): sold ${expected || "nothing"}, taken ${kept.join(" and ") || "nothing"}`];
  });
  const strays = reservations.filter(({ reference }) => !known.has(reference));
  return {
    invariant: 3,
    what: "what an order sold was taken out of stock for it, once",
    checked: orders.length,
    violations: [
      ...violations,
      ...strays.map(({ id, reference }) => `${id}: held for ${reference}, which is no order`),
    ],
  };
}

function keptUnits({ lines }: ReservationRow): string {
  return unitsText(lines.map(({ sku, quantity, restocked }) => [sku, quantity - restocked]));
}

function keptOf({ lines }: OrderRow): string {
  return unitsText(lines.map(({ sku, quantity, returned }) => [sku, quantity - returned]));
}

function unitsText(units: readonly (readonly [string, number])[]): string {
  const some = units.filter(([, count]) => count !== 0).map(([sku, count]) => `${count} × ${sku}`);
  return some.toSorted().join(", ");
}

function quantities<Line extends { readonly sku: string }>(
  items: readonly { readonly lines: readonly Line[] }[],
  unitsOf: (line: Line) => number,
): ReadonlyMap<string, bigint> {
  const units = new Map<string, bigint>();
  for (const line of items.flatMap(({ lines }) => lines)) {
    units.set(line.sku, (units.get(line.sku) ?? 0n) + BigInt(unitsOf(line)));
  }
  return units;
}
