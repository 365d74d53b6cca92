import { isDeepStrictEqual } from "node:util";
import { isClearingCart, isDecided, needsToken, type Order } from "../domain-order.ts";
import type { Rejection } from "../domain-saga.ts";
import { defaultTimings } from "../drive.ts";
import * as store from "../store.ts";
import { tokenOf } from "./payment-gateway.ts";
import type { OrdersProcess } from "./process.ts";
import type { Act } from "./schedule.ts";
import { type Shop, SKUS } from "./shop.ts";
import { Violation } from "./world.ts";

/** One press of the button, and every other for the same. */
export type Purchase = Pick<Extract<Act, { readonly kind: "buy" }>, "units" | "card"> & { readonly number: number };

/** How long a buyer waits for an answer, and how long before its end PlaceOrder gives one. */
const BUYER_TIMEOUT_MS = 10_000;
const ANSWER_MARGIN_MS = 150;
const PRICES = [500n, 300n] as const;
const SHIPPING = 490n;

/** What a buyer was told: the order, and what became of it, unless that was not known yet. */
export interface Answer {
  readonly orderId: string;
  readonly outcome: "under way" | "accepted" | Rejection;
}

/** Everything that buyers were told, by their requests. */
export type Answers = Map<string, Answer>;

/** Presses the button: PlaceOrder, at one of the processes. What is answered is held against earlier answers. */
export async function press(shop: Shop, answers: Answers, purchase: Purchase, at: number): Promise<void> {
  const { world, parties, processes } = shop;
  const { party } = processes[at % processes.length] ?? {};
  if (party === undefined) return;
  const wish = wishOf(purchase);
  const ask = { from: parties.buyers, to: party, what: `PlaceOrder ${wish.requestId}`, timeoutMs: BUYER_TIMEOUT_MS };
  try {
    const answer = await world.ask(ask, async () => {
      const { running } = processes[at % processes.length] ?? {};
      if (running === undefined) throw new Violation(`${party.name} is up, and no process of orders`);
      return placeOrder(shop, running, wish, tokenOf(purchase.card));
    });
    world.note(() => `the buyer of ${wish.requestId} is told: ${answer.orderId} ${JSON.stringify(answer.outcome)}`);
    remember(answers, wish.requestId, answer);
  } catch (error) {
    world.expectFailure(error);
  }
}

/** Holds an answer against what was answered before. Answers may overtake each other, so one of them may know less. */
function remember(answers: Answers, requestId: string, answer: Answer): void {
  const earlier = answers.get(requestId);
  if (earlier === undefined || earlier.outcome === "under way") answers.set(requestId, answer);
  if (earlier === undefined) return;
  const known = earlier.outcome !== "under way" && answer.outcome !== "under way";
  const same = earlier.orderId === answer.orderId && (!known || isDeepStrictEqual(earlier.outcome, answer.outcome));
  if (!same) throw new Violation(`${requestId} was answered in two ways`);
}

/** The order that a purchase makes, as `planOrder` has it. */
function wishOf({ number, units }: Purchase): store.NewOrder {
  const wanted = units.some((quantity) => quantity > 0) ? units : [1];
  const lines = wanted.flatMap((quantity, i) => {
    const [sku = "", unitPrice = 0n] = [SKUS[i], PRICES[i]];
    const units = BigInt(quantity);
    return quantity === 0
      ? []
      : [
          {
            sku,
            title: sku,
            quantity: units,
            unitPrice,
            lineTotal: unitPrice * units,
            packed: { weightGrams: 0, lengthMm: 0, widthMm: 0, heightMm: 0 },
            announcedQuantity: 0n,
            returnedQuantity: 0n,
          },
        ];
  });
  const subtotal = lines.reduce((sum, { lineTotal }) => sum + lineTotal, 0n);
  const price = { currencyCode: "EUR", minorUnits: SHIPPING };
  return {
    id: `ord_${number}`,
    customerId: `usr_${number % 2}`,
    requestId: `press-of-${number}`,
    requestHash: new Uint8Array(),
    cartId: `cart_${number}`,
    lines,
    currencyCode: "EUR",
    subtotal,
    total: subtotal + SHIPPING,
    email: "",
    address: { recipient: "", lines: [], city: "", postalCode: "", region: "", countryCode: "", phone: "" },
    shippingOption: { id: "", title: "", price, minDays: 1, maxDays: 2 },
    rateId: "",
  };
}

/** As `handlers/place-order.ts`, without the prices. */
async function placeOrder(shop: Shop, process: OrdersProcess, wish: store.NewOrder, token: string): Promise<Answer> {
  const { db } = process;
  const { world } = shop;
  const copyOf = async (): Promise<Answer | undefined> => {
    const placed = await store.findByRequest(db, wish);
    if (placed === undefined) return undefined;
    const order = await store.getOrder(db, placed.id);
    if (order === undefined) throw new Violation(`${placed.id} is gone`);
    if (needsToken(order) && process.tokens.offer(order.id, token)) process.wake();
    const decided = await untilDecided(shop, process, order);
    if (!needsToken(decided)) process.tokens.forget(order.id);
    return answerOf(decided);
  };
  const replayed = await copyOf();
  if (replayed !== undefined) return replayed;
  // Each copy plans an order of its own, under an id of its own.
  const id = `${wish.id}.${world.messages}`;
  const order = await store.insertOrder(db, { ...wish, id }, defaultTimings.leaseMs);
  if (order === undefined) {
    const first = await copyOf();
    if (first === undefined) throw new Violation(`the order of ${wish.requestId} is gone, though it stood in the way`);
    return first;
  }
  process.start(order, token);
  return answerOf(await untilDecided(shop, process, order));
}

async function untilDecided({ world }: Shop, { changes }: OrdersProcess, placed: Order): Promise<Order> {
  const timeUp = new AbortController();
  const timer = world.later(BUYER_TIMEOUT_MS - ANSWER_MARGIN_MS, () => timeUp.abort());
  const watch = changes.watch(placed.id);
  let order = placed;
  while (!isDecided(order) || isClearingCart(order)) {
    const next = await watch.next(order.version, timeUp.signal);
    if (next === undefined) break;
    order = next;
  }
  timer.off = true;
  watch.close();
  return order;
}

function answerOf({ id, state, rejection }: Order): Answer {
  return { orderId: id, outcome: rejection ?? (state === "PENDING" ? "under way" : "accepted") };
}
