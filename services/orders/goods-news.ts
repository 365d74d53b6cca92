import type { Logger } from "pino";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Order } from "./domain-order.ts";
import { type OrderReturn, planReturn, withAnnounced, withReturned } from "./domain-returns.ts";
import { MAX_DUE, type ReturnedLine } from "./domain-saga.ts";
import { eventsFor, type ShipmentNews, stillOut } from "./domain-shipments.ts";
import { redirect } from "./redirect.ts";
import { findReturnByRequest, getReturn, insertReturn, receiveReturn } from "./store-returns.ts";

/** Who does what shipping tells, in the histories. */
const ACTOR = "shipping";

export interface NewsDeps {
  readonly log: Logger;
  readonly newId: (prefix: string) => string;
}

/** Takes in what shipping tells of an order, which the transaction has locked. The order as it is then; the same if nothing is new. */
export async function takeNews(deps: NewsDeps, tx: Transaction, order: Order, news: ShipmentNews): Promise<Order> {
  return news.returnId === "" ? onOutbound(deps, tx, order, news) : onWayBack(deps, tx, order, news);
}

async function onOutbound(deps: NewsDeps, tx: Transaction, order: Order, news: ShipmentNews): Promise<Order> {
  let now = order;
  for (const event of eventsFor(order, news)) {
    const moved = await redirect(tx, now, { event, remark: "", actor: ACTOR });
    if (moved === undefined) {
      deps.log.error({ orderId: order.id, state: now.state, news: news.state }, "news of a shipment came to nothing");
      return now;
    }
    now = moved;
  }
  return now === order ? order : takeBack(deps, tx, now, { ...news, lines: news.returnedLines, note: "not delivered" });
}

/** Goods of a return are at the depot: it is received; or, if it was withdrawn, they come back all the same. */
async function onWayBack(deps: NewsDeps, tx: Transaction, order: Order, news: ShipmentNews): Promise<Order> {
  const { log } = deps;
  if (news.state !== "DELIVERED") return order;
  const goods = await getReturn(tx, news.returnId);
  if (goods === undefined || goods.orderId !== order.id) return order;
  if (news.returnedLines.length > 0) {
    // A part of it went back to the buyer. Who is in the warehouse sees what is there, and decides.
    log.warn({ orderId: order.id, returnId: goods.id }, "a return came in part");
    return order;
  }
  if (goods.state === "CANCELLED") return takeBack(deps, tx, order, { ...news, lines: goods.lines, note: goods.note });
  if (goods.state !== "REQUESTED") return order;
  const received = await receive(tx, order, goods, ACTOR);
  if (received !== undefined) return received;
  // The return stays announced, for the warehouse to receive: what waits here would hold up all other orders.
  log.error({ orderId: order.id, returnId: goods.id }, "a return is here, and too much is due to take it in");
  return order;
}

/** Books that the goods of a return, REQUESTED, are here; undefined when too much is due already. */
export async function receive(
  tx: Transaction,
  order: Order,
  goods: OrderReturn,
  actor: string,
): Promise<(Order & { readonly receiveTime: Date }) | undefined> {
  const { id: returnId, lines, refund } = goods;
  const event = { kind: "return_received", returnId, lines, amount: refund.minorUnits } as const;
  const moved = await redirect(tx, order, { event, remark: returnId, actor });
  if (moved === undefined) return undefined;
  const receiveTime = await receiveReturn(tx, goods, moved.dues);
  return { ...moved, lines: withReturned(order.lines, lines), receiveTime };
}

/** Goods came back that nobody announced: a return of theirs, received at once; once for each shipment. */
async function takeBack(
  { log, newId }: NewsDeps,
  tx: Transaction,
  order: Order,
  back: { readonly shipmentId: string; readonly lines: readonly ReturnedLine[]; readonly note: string },
): Promise<Order> {
  const { shipmentId: requestId, note } = back;
  const lines = stillOut(order, back.lines);
  if (lines.length === 0) return order;
  const key = { requestedBy: ACTOR, requestId };
  if ((await findReturnByRequest(tx, key)) !== undefined) return order;
  const planned = planReturn(order, lines);
  if (!planned.ok || order.due.length >= MAX_DUE) {
    log.error({ orderId: order.id, shipmentId: requestId }, "goods came back, and no more can be given back by itself");
    return order;
  }
  const amount = planned.value;
  const id = newId("ret");
  const announced = await redirect(tx, order, {
    event: { kind: "return_announced", amount },
    remark: id,
    actor: ACTOR,
  });
  if (announced === undefined) throw new Error(`${order.id}: a return of ${amount} was planned, and is refused.`);
  const refund = { currencyCode: order.currencyCode, minorUnits: amount };
  const goods = await insertReturn(tx, order, { id, lines, refund, note, ...key });
  const received = await receive(tx, { ...announced, lines: withAnnounced(order.lines, lines) }, goods, ACTOR);
  if (received === undefined) throw new Error(`${order.id} refuses what it was just promised: ${id}`);
  return received;
}
