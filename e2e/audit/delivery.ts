import type { Books, Finding } from "./books.ts";
import { groupBy } from "./figures.ts";

const sold = ["PAID", "SHIPPED", "COMPLETED"];

/** Invariant 6: nothing is sent that was not paid for, what is paid is sent once, and confirmed once. */
export function checkDelivery({ orders, shipments, confirmations, transactions }: Books): Finding {
  const captured = new Set(transactions.filter(({ type }) => type === "capture").map(({ reference }) => reference));
  const outbound = groupBy(
    shipments.filter(({ returnId, state }) => returnId === "" && state !== "CANCELLED"),
    ({ orderId }) => orderId,
  );
  const confirmed = groupBy(confirmations, ({ orderId }) => orderId);
  const known = new Map(orders.map((order) => [order.id, order]));
  const violations = [
    ...shipments.flatMap(({ id, orderId }) => (captured.has(orderId) ? [] : [`${id}: ${orderId} was never captured`])),
    ...[...outbound.keys()].flatMap((id) =>
      sold.includes(known.get(id)?.state ?? "") ? [] : [`${id} is ${known.get(id)?.state}, and goods of it are sent`],
    ),
    ...orders.flatMap(({ id, state }) => {
      const sent = outbound.get(id)?.length ?? 0;
      const written = confirmed.get(id)?.length ?? 0;
      const isSold = sold.includes(state);
      return [
        ...(isSold && sent !== 1 ? [`${id} is ${state}, and has ${sent} shipments`] : []),
        ...((isSold && written !== 1) || written > 1 ? [`${id} is ${state}, with ${written} confirmations`] : []),
      ];
    }),
  ];
  return {
    invariant: 6,
    what: "no shipment without a capture, one shipment and one confirmation a paid order",
    checked: shipments.length + confirmations.length,
    violations,
  };
}
