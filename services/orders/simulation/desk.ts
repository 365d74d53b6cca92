import { transition } from "../domain.ts";
import type { Order } from "../domain-order.ts";
import { STUCK_ATTEMPTS } from "../domain-retry.ts";
import { checkRefund, planReturn, withAnnounced, withReturned, withWithdrawn } from "../domain-returns.ts";
import type { SagaEvent } from "../domain-saga.ts";
import type { OrdersTable } from "./table.ts";
import { Violation } from "./world.ts";

// What people ask of orders: each is one transaction with the order locked, as in the handler of its name.

/** As `handlers/cancel-order.ts`. */
export function cancelOrder(table: OrdersTable, id: string): void {
  const order = table.getOrder(id);
  if (order === undefined || order.state === "CANCELLING" || order.state === "CANCELLED") return;
  ask(table, order, { kind: "cancel_requested" }, "buyer");
}

/** As `handlers/stuck-orders.ts`. */
export function retryOrder(table: OrdersTable, id: string): void {
  table.retryNow({ id, minAttempts: STUCK_ATTEMPTS, actor: "support", note: "tried again on request" });
}

/** As `handlers/refund-order.ts`. */
export function refundOrder(table: OrdersTable, id: string, amount: bigint): void {
  const order = table.getOrder(id);
  if (order === undefined || !checkRefund(order, { currencyCode: order.currencyCode, minorUnits: amount }).ok) return;
  ask(table, order, { kind: "refund_requested", amount }, "support");
}

/** As `handlers/create-return.ts`: so many units of each line, or as many as can still come back. */
export function announceReturn(table: OrdersTable, orderId: string, units: bigint): void {
  const order = table.getOrder(orderId);
  if (order === undefined) return;
  const lines = order.lines.flatMap(({ sku, quantity, announcedQuantity, returnedQuantity }) => {
    const left = quantity - announcedQuantity - returnedQuantity;
    return left === 0n ? [] : [{ sku, quantity: left < units ? left : units }];
  });
  const planned = planReturn(order, lines);
  if (lines.length === 0 || !planned.ok) return;
  const refund = planned.value;
  if (!ask(table, order, { kind: "return_announced", amount: refund }, "buyer")) return;
  const id = `ret_${table.returns.size + 1}`;
  table.putReturn({ id, orderId, lines, refund, state: "REQUESTED" }, withAnnounced(order.lines, lines));
}

/** As `handlers/cancel-return.ts`. */
export function withdrawReturn(table: OrdersTable, returnId: string): void {
  const given = table.returns.get(returnId);
  const order = table.getOrder(given?.orderId ?? "");
  if (given?.state !== "REQUESTED" || order === undefined) return;
  if (!ask(table, order, { kind: "return_withdrawn", amount: given.refund }, "buyer")) {
    throw new Violation(`${returnId} is REQUESTED, and ${order.id} refuses to withdraw it`);
  }
  table.putReturn({ ...given, state: "CANCELLED" }, withWithdrawn(order.lines, given.lines));
}

/** As `handlers/receive-return.ts`. */
export function receiveReturn(table: OrdersTable, returnId: string): void {
  const given = table.returns.get(returnId);
  const order = table.getOrder(given?.orderId ?? "");
  if (given?.state !== "REQUESTED" || order === undefined) return;
  const { lines, refund: amount } = given;
  if (!ask(table, order, { kind: "return_received", returnId, lines, amount }, "warehouse")) return;
  table.putReturn({ ...given, state: "RECEIVED" }, withReturned(order.lines, lines));
}

/** False when the machine refuses it there. */
function ask(table: OrdersTable, order: Order, event: SagaEvent, actor: string): boolean {
  const moved = transition(order, event);
  if (moved.ok) table.redirectOrder(order, { saga: moved.value.saga, actor, note: moved.value.note });
  return moved.ok;
}
