import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { CartServiceService } from "#gen/shop/cart/v1/cart_service.ts";
import type { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { type Order, Order_State } from "#gen/shop/orders/v1/order.ts";
import { OrderServiceService } from "#gen/shop/orders/v1/order_service.ts";
import { type Buyer, createBuyer } from "../support/buyer.ts";
import { CallFailure } from "../support/wire.ts";
import type { Random } from "./random.ts";
import type { BuyersRecord } from "./record.ts";
import type { Errand } from "./shopkeeping.ts";
import { tryHard } from "./try-hard.ts";

/** What a buyer shops with. */
export interface Shopping {
  readonly address: string;
  readonly skus: readonly string[];
  readonly random: Random;
  readonly record: BuyersRecord;
  /** Counts what a buyer did, by its name. */
  readonly count: (what: string) => void;
  /** Leaves something for the shop's people to do. */
  readonly send: (errand: Errand) => void;
  /** Ends the shopping when it aborts; the order under way is finished with. */
  readonly closing: AbortSignal;
}

const maxPresses = 10;
const pauseMs = 300;
const refreshAfterMs = 8 * 60_000;
const watchTurns = 25;
const tokens = {
  tok_visa: 68,
  tok_unreliable: 14,
  tok_slow: 5,
  tok_declined: 8,
  tok_insufficient_funds: 5,
} as const;

/** Comes as a guest and buys one thing after another until the shopping is closed. Undefined when nobody got in. */
export async function shop(shopping: Shopping): Promise<Buyer | undefined> {
  const { closing } = shopping;
  const buyer = await tryHard(shopping, () => createBuyer(shopping.address));
  let refreshedMs = performance.now();
  while (buyer !== undefined && !closing.aborted) {
    if (performance.now() - refreshedMs > refreshAfterMs) {
      await tryHard(shopping, () => buyer.refresh());
      refreshedMs = performance.now();
    }
    const request = await fillCart(shopping, buyer);
    if (request === undefined) continue;
    shopping.record.asked(buyer, request);
    const order = await buy(shopping, buyer, request);
    if (order !== undefined) await thinkAgain(shopping, buyer, order);
  }
  return buyer;
}

async function fillCart(shopping: Shopping, buyer: Buyer): Promise<PlaceOrderRequest | undefined> {
  const { random, skus } = shopping;
  const clear = { requestId: randomUUID(), cartId: "", items: [] };
  const chosen = random.chance(0.4) ? [random.pick(skus), random.pick(skus)] : [random.pick(skus)];
  await tryHard(shopping, () => buyer.call(CartServiceService.clearCart, clear));
  for (const sku of chosen) await tryHard(shopping, () => buyer.add(sku, BigInt(random.between(1, 2))));
  return tryHard(shopping, () => buyer.quote(random.weighted(tokens)));
}

/** Presses the button until the shop has decided, or patience is at its end. An impatient one presses it twice. */
async function buy(shopping: Shopping, buyer: Buyer, request: PlaceOrderRequest): Promise<Order | undefined> {
  const { random, record, count } = shopping;
  const press = async (): Promise<Order | "over" | undefined> => {
    try {
      const order = await buyer.place(request);
      record.answered(request, order);
      return order;
    } catch (error) {
      if (!(error instanceof CallFailure)) throw error;
      count(`PlaceOrder ${error.code} ${error.reason}`);
      return record.failed(request, error) || error.code === "FAILED_PRECONDITION" ? "over" : undefined;
    }
  };
  for (let presses = 0; presses < maxPresses; presses++) {
    const twice = random.chance(0.25);
    if (twice) count("pressed twice");
    const answers = await Promise.all(twice ? [press(), press()] : [press()]);
    const order = answers.find((answer) => typeof answer === "object");
    if (order !== undefined) return order;
    if (answers.includes("over")) return undefined;
    await delay(pauseMs);
  }
  count("gave up");
  return undefined;
}

/** Some cancel at once, some when it is paid, and some send things back. */
async function thinkAgain(shopping: Shopping, buyer: Buyer, order: Order): Promise<void> {
  const { random, count, send } = shopping;
  const what = random.weighted({ keep: 58, cancel: 16, cancelLater: 10, sendBack: 12, complain: 4 });
  if (what === "keep") return;
  const cancelled = { requestId: randomUUID(), orderId: order.id, note: "" };
  if (what === "cancel") {
    const done = await tryHard(shopping, () => buyer.call(OrderServiceService.cancelOrder, cancelled));
    return count(done === undefined ? "cancelling refused" : "cancelled at once");
  }
  if (!(await untilPaid(shopping, buyer, order))) return;
  if (what === "cancelLater") {
    const done = await tryHard(shopping, () => buyer.call(OrderServiceService.cancelOrder, cancelled));
    return count(done === undefined ? "cancelling refused" : "cancelled when paid");
  }
  const [line] = order.lines;
  if (line === undefined) return;
  if (what === "complain") return send({ kind: "refund", orderId: order.id, amount: line.unitPrice });
  const items = [{ sku: line.sku, quantity: 1n }];
  const request = { requestId: randomUUID(), orderId: order.id, items, note: "too many" };
  const done = await tryHard(shopping, () => buyer.call(OrderServiceService.createReturn, request));
  if (done?.orderReturn !== undefined) send({ kind: "receive", returnId: done.orderReturn.id });
  count(done === undefined ? "return refused" : "returned");
}

async function untilPaid(shopping: Shopping, buyer: Buyer, { id }: Order): Promise<boolean> {
  for (let turn = 0; turn < watchTurns && !shopping.closing.aborted; turn++) {
    const order = await tryHard(shopping, () => buyer.order(id));
    if (order?.state === Order_State.PAID) return true;
    if (order?.state !== Order_State.PENDING && order?.state !== Order_State.CONFIRMED) return false;
    await delay(pauseMs);
  }
  return false;
}
