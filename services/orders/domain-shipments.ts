import type { Order } from "./domain-order.ts";
import type { ReturnedLine, SagaEvent } from "./domain-saga.ts";

/** What shipping tells of a shipment: what it came to. It may be told again. */
export interface ShipmentNews {
  readonly shipmentId: string;
  readonly orderId: string;
  /** Of which return; empty when the goods go to the buyer. */
  readonly returnId: string;
  readonly state: "BOOKED" | "IN_TRANSIT" | "DELIVERED" | "RETURNED" | "CANCELLED";
  /** Units that could not be delivered and came back. */
  readonly returnedLines: readonly ReturnedLine[];
}

/** What news of the shipment to the buyer are to their order, one after another; those that it knows already are left out. */
export function eventsFor({ state: now }: Pick<Order, "state">, news: ShipmentNews): readonly SagaEvent[] {
  const { shipmentId, state } = news;
  const left: readonly SagaEvent[] =
    now === "SHIPPED" || now === "COMPLETED" ? [] : [{ kind: "goods_left", shipmentId }];
  switch (state) {
    case "IN_TRANSIT":
      return left;
    case "DELIVERED":
      return now === "COMPLETED" ? [] : [...left, { kind: "goods_arrived" }];
    case "RETURNED":
      return now === "COMPLETED" ? [] : [...left, { kind: "goods_undeliverable" }];
    case "BOOKED":
    case "CANCELLED":
      // Whoever asked for it knows.
      return [];
  }
}

/** Of goods that are here again those that the order still counts as with the buyer. */
export function stillOut({ lines }: Pick<Order, "lines">, goods: readonly ReturnedLine[]): readonly ReturnedLine[] {
  return goods.flatMap(({ sku, quantity }) => {
    const line = lines.find((one) => one.sku === sku);
    const out = line === undefined ? 0n : line.quantity - line.announcedQuantity - line.returnedQuantity;
    const counted = quantity < out ? quantity : out;
    return counted > 0n ? [{ sku, quantity: counted }] : [];
  });
}
