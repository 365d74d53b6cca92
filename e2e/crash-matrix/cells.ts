import type { Exchange, Moment } from "#testing/faults/exchange.ts";

/** A place at which an order can be when something is killed. */
export interface Point {
  /** The last part of the method: `CapturePayment` of payments, `capture` of the payment gateway. */
  readonly call: string;
  readonly moment: Moment;
}

/** What the buyer does, and what must come of it. */
export interface Scenario {
  readonly name: string;
  readonly paymentToken: string;
  /** How far the order is taken before anything is about to break. */
  readonly prepared: "nothing" | "paid" | "a return";
  /** What is asked for then. */
  readonly action: "place" | "cancel while pending" | "cancel when confirmed" | "cancel" | "receive" | "refund";
  readonly calls: readonly string[];
  readonly ends: readonly string[];
}

const placing = ["CreateReservation", "AuthorizePayment", "authorizations", "ClearCart", "CapturePayment", "capture"];

/** Every step of placing, cancelling, returning and refunding. */
export const scenarios: readonly Scenario[] = [
  {
    name: "place",
    paymentToken: "tok_visa",
    prepared: "nothing",
    action: "place",
    calls: [...placing, "CommitReservation"],
    ends: ["PAID", "REJECTED"],
  },
  {
    name: "decline",
    paymentToken: "tok_declined",
    prepared: "nothing",
    action: "place",
    calls: ["ReleaseReservation"],
    ends: ["REJECTED"],
  },
  {
    name: "cancel, pending",
    paymentToken: "tok_slow",
    prepared: "nothing",
    action: "cancel while pending",
    calls: ["VoidPayment", "void", "ReleaseReservation"],
    ends: ["CANCELLED", "REJECTED"],
  },
  {
    name: "cancel, confirmed",
    paymentToken: "tok_visa",
    prepared: "nothing",
    action: "cancel when confirmed",
    calls: ["VoidPayment", "CreateRefund", "refunds", "ReleaseReservation"],
    ends: ["CANCELLED"],
  },
  {
    name: "cancel, paid",
    paymentToken: "tok_visa",
    prepared: "paid",
    action: "cancel",
    calls: ["CreateRefund", "refunds", "RestockReservation"],
    ends: ["CANCELLED"],
  },
  {
    name: "return",
    paymentToken: "tok_visa",
    prepared: "a return",
    action: "receive",
    calls: ["RestockReservation", "CreateRefund", "refunds"],
    ends: ["PAID"],
  },
  {
    name: "refund",
    paymentToken: "tok_visa",
    prepared: "paid",
    action: "refund",
    calls: ["CreateRefund", "refunds"],
    ends: ["PAID"],
  },
];

/** One order, which is at one point when something is killed. */
export interface Cell {
  readonly scenario: Scenario;
  readonly point: Point;
  /** Bought in this cell alone, so that an exchange tells of itself whose it is. */
  readonly sku: string;
}

/** A cell for each point of each scenario. Throws when there are not as many SKUs. */
export function makeCells(chosen: readonly Scenario[], skus: readonly string[]): readonly Cell[] {
  const points = chosen.flatMap((scenario) =>
    scenario.calls.flatMap((call) =>
      (["before", "after"] as const).map((moment) => ({ scenario, point: { call, moment } })),
    ),
  );
  return points.map(({ scenario, point }, index) => {
    const sku = skus[index];
    if (sku === undefined) throw new Error(`${points.length} cells need as many SKUs`);
    return { scenario, point, sku };
  });
}

/** Tells whose an exchange is. */
export interface Owners {
  /** The cell, once its order has been seen. */
  cellOf(exchange: Exchange): Cell | undefined;
}

const orderIds = /ord_[0-9a-z]{26}/;

/**
 * Learns, as the exchanges come by, whose they are: the hold names the SKU and the order, all other calls of orders name
 * the order, and what goes to the payment gateway names what it gave for the order.
 */
export function createOwners(cells: readonly Cell[]): Owners {
  const bySku = new Map(cells.map((cell) => [cell.sku, cell]));
  const byOrder = new Map<string, Cell>();
  const byReference = new Map<string, Cell>();
  const learn = (references: readonly (string | undefined)[], cell: Cell): void => {
    for (const reference of references) if (reference !== undefined) byReference.set(reference, cell);
  };
  return {
    cellOf(exchange) {
      const { callee, method, request, answer } = exchange;
      const text = request.toString("latin1");
      const orderId = orderIds.exec(text)?.[0];
      if (callee !== "payment-gateway") {
        const known = byOrder.get(orderId ?? "");
        if (known !== undefined || callName(exchange) !== "CreateReservation") return known;
        // The longest: one SKU may begin another.
        const [sku = ""] = [...bySku.keys()].filter((one) => text.includes(one)).sort((a, b) => b.length - a.length);
        const cell = bySku.get(sku);
        if (cell !== undefined && orderId !== undefined) byOrder.set(orderId, cell);
        return cell;
      }
      const ids = method.split("/").slice(2);
      const cell =
        byOrder.get(orderId ?? "") ?? ids.map((id) => byReference.get(id)).find((found) => found !== undefined);
      if (cell !== undefined) learn([/"id":"([^"]+)"/.exec(answer.toString("utf8"))?.[1]], cell);
      return cell;
    },
  };
}

/** `CapturePayment` of a call between services, `capture` of one to the payment gateway. */
export function callName({ method }: Pick<Exchange, "method">): string {
  return method.slice(method.lastIndexOf("/") + 1);
}
