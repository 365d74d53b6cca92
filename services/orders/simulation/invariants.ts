import { Reservation_State } from "#gen/shop/inventory/v1/stock.ts";
import type { Order } from "../domain-order.ts";
import type { OrderState } from "../domain-saga.ts";
import type { Answers } from "./buyers.ts";
import { checkInventory } from "./inventory.ts";
import { SECRET } from "./payment-gateway.ts";
import type { Shop } from "./shop.ts";
import { Violation } from "./world.ts";

const paid: ReadonlySet<OrderState> = new Set(["PAID", "SHIPPED", "COMPLETED"]);

/**
 * What holds at every moment, however things stand. That final states never change and histories are legal paths (5) is
 * checked with every write, in `table.ts`; that answers do not change (7) with every answer, in `buyers.ts`.
 */
export function checkAlways(shop: Shop): void {
  const { table, gateway, inventory, payments } = shop;
  // 3: nothing is sold twice, and nothing gets lost.
  checkInventory(inventory);
  for (const { order } of table.rows.values()) {
    const mine = [...gateway.authorizations.values()].filter(({ reference }) => reference === order.id);
    // 2: one authorization and one capture an order.
    const live = mine.filter((one) => ["AUTHORIZED", "CAPTURED"].includes(gateway.stateOf(one)));
    must(live.length <= 1, `${order.id} has ${live.length} live authorizations`);
    for (const { captures, captured, refunded } of mine) {
      must(captures <= 1 && refunded <= captured && captured <= order.total, `${order.id} was charged wrongly`);
      // 6: what is captured was accepted.
      const accepted = order.history.some(({ state }) => state === "CONFIRMED");
      must(captures === 0 || accepted, `${order.id} was charged, and never confirmed`);
    }
    must(order.history.filter(confirms).length <= 1, `${order.id} was confirmed more than once`);
    // 4: what is over holds nothing.
    if (order.step === "done") {
      const held = [...inventory.reservations.values()].filter(
        ({ reference, state }) => reference === order.id && state === Reservation_State.ACTIVE,
      );
      must(held.length === 0, `${order.id} is ${order.state} and at rest, and still holds stock`);
    }
  }
  // 6: no money without an order.
  for (const { reference } of gateway.authorizations.values()) {
    must(table.rows.has(reference), `money was set aside for ${reference}, which is no order`);
  }
  const known = [...payments.payments.values()];
  must(
    known.every(({ captured, refunded }) => refunded <= captured),
    "payments gave more back than it took",
  );
}

function confirms({ state }: Order["history"][number], at: number, history: Order["history"]): boolean {
  return state === "CONFIRMED" && history[at - 1]?.state !== "CONFIRMED";
}

/** What holds besides, once nothing is under way any more. */
export function checkAtRest(shop: Shop, answers: Answers): void {
  const { table, inventory, payments } = shop;
  const sold = new Map<string, bigint>();
  for (const { order, leaseUntilMs, dueMs } of table.rows.values()) {
    // 4: every order is at rest, and nobody holds it.
    const resting =
      order.step === "done" && (paid.has(order.state) || order.state === "REJECTED" || order.state === "CANCELLED");
    must(resting && leaseUntilMs === undefined && dueMs === undefined, `${order.id} is ${order.state}/${order.step}`);
    checkMoney(shop, order);
    const kept = paid.has(order.state) ? order.lines : [];
    for (const { sku, quantity, returnedQuantity } of kept) {
      sold.set(sku, (sold.get(sku) ?? 0n) + quantity - returnedQuantity);
    }
    const cleared = shop.cartsCleared.get(order.cartId) ?? 0;
    must(paid.has(order.state) ? cleared === 1 : cleared <= 1, `the cart of ${order.id} was cleared ${cleared} times`);
  }
  // 3: what is sold are the goods of the orders that were paid.
  for (const [sku, units] of inventory.stocked) {
    const level = inventory.stock.get(sku);
    const gone = sold.get(sku) ?? 0n;
    must(
      level?.reserved === 0n && level.onHand + gone === units,
      `${sku}: ${level?.onHand} on hand and ${gone} sold of ${units}`,
    );
  }
  // 1: the books balance, and say the same as the gateway.
  const { ledger } = payments.books;
  const booked = ledger.reduce((sum, { debit, credit }) => sum + debit - credit, 0n);
  must(booked === 0n, "the ledger does not balance");
  for (const operation of payments.operations.values())
    must(operation.state !== "PENDING", `${operation.id} is still pending`);
  // 7: what was acknowledged is there.
  for (const [requestId, { orderId }] of answers)
    must(table.rows.has(orderId), `${requestId} made ${orderId}, which is gone`);
  // 8: the payment token was passed on and not kept.
  const stored = JSON.stringify([[...table.rows.values()], [...payments.payments.values()].map(withoutCycle)], text);
  must(!stored.includes(SECRET), "a payment token was stored");
}

/** 1: the gateway, payments and the order say the same of its money. */
function checkMoney({ gateway, payments }: Shop, order: Order): void {
  const due = paid.has(order.state) ? order.total - order.refunded : 0n;
  const there = [...gateway.authorizations.values()].filter(({ reference }) => reference === order.id);
  const taken = there.reduce((sum, { captured, refunded }) => sum + captured - refunded, 0n);
  must(taken === due, `the gateway has ${taken} of ${order.id}, which is ${order.state}, instead of ${due}`);
  for (const one of there)
    must(gateway.stateOf(one) !== "AUTHORIZED", `money is set aside for ${order.id}, which is ${order.state}`);
  const here = [...payments.payments.values()].filter(({ orderId }) => orderId === order.id);
  const noted = here.reduce((sum, { captured, refunded }) => sum + captured - refunded, 0n);
  must(noted === due, `payments has ${noted} of ${order.id} instead of ${due}`);
}

function withoutCycle({ pending, ...payment }: { readonly pending: unknown }): unknown {
  return { ...payment, pending: pending !== undefined };
}

function text(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Violation(otherwise);
}
