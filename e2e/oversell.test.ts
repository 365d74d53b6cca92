import { afterAll, beforeAll, expect, test } from "vitest";
import type { PlaceOrderRequest } from "#gen/shop/orders/v1/checkout_service.ts";
import { Order_State } from "#gen/shop/orders/v1/order.ts";
import type { Intercept } from "#testing/faults/exchange.ts";
import { audit, describeFindings } from "./audit/audit.ts";
import type { BuyersWord, Finding } from "./audit/books.ts";
import { unfinished } from "./audit/orders.ts";
import { readBooks } from "./audit/read-books.ts";
import { checkSecrets } from "./audit/secrets.ts";
import { type Buyer, createBuyer } from "./support/buyer.ts";
import { type FaultShop, startFaultShop } from "./support/fault-shop.ts";
import { insist } from "./support/insist.ts";
import { dropIdempotencyKeys } from "./support/planted-bug.ts";
import { buildPrograms, newPlace, type ShopPlace } from "./support/setup.ts";
import { setStock } from "./support/stock.ts";
import { CallFailure } from "./support/wire.ts";

// Real processes, two of each service that decides; then the books, read past the services.

const one = "BLM-42-24V-26W";
const other = "BLM-42-24V-53W";
const twoEach = { orders: 2, payments: 2, inventory: 2 };
const nobodysWord: BuyersWord = { acknowledged: [], asked: new Set(), replays: [] };

let place: ShopPlace;
let shop: FaultShop;
let intercept: Intercept = () => "pass";
const buyers: Buyer[] = [];

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
  shop = await startFaultShop({
    place,
    instances: twoEach,
    intercept: (exchange, moment) => intercept(exchange, moment),
  });
}, 120_000);

afterAll(async () => {
  for (const buyer of buyers) buyer.close();
  await shop?.close();
  await place?.remove();
}, 60_000);

test("sells 5 units to exactly 5 of 200 who want one at the same time", async () => {
  await setStock(shop.operator, one, 5n);
  const ready = await come(200, async (buyer) => {
    await insist(() => buyer.add(one, 1n));
    return insist(() => buyer.quote("tok_visa"));
  });
  const outcomes = await Promise.all(ready.map(({ buyer, plan }) => outcomeOf(buyer, plan)));
  expect(tally(outcomes)).toEqual({ sold: 5, OUT_OF_STOCK: 195 });
  const books = await booksAtRest();
  expect(books.stock.find(({ sku }) => sku === one)).toEqual({ sku: one, onHand: 0n, reserved: 0n });
  expect(violationsOf(audit(books, nobodysWord))).toBe("");
}, 120_000);

test("lets neither of two wait for ever who want each other's last units", async () => {
  await setStock(shop.operator, one, 10n);
  await setStock(shop.operator, other, 10n);
  const ready = await come(20, async (buyer, index) => {
    for (const sku of index % 2 === 0 ? [one, other] : [other, one]) await insist(() => buyer.add(sku, 1n));
    return insist(() => buyer.quote("tok_visa"));
  });
  const outcomes = await Promise.all(ready.map(({ buyer, plan }) => outcomeOf(buyer, plan)));
  expect(tally(outcomes)).toEqual({ sold: 10, OUT_OF_STOCK: 10 });
  expect(violationsOf(audit(await booksAtRest(), nobodysWord))).toBe("");
}, 120_000);

test("leaves no secret in any table or log", async () => {
  const services = [
    "cart",
    "catalog",
    "identity",
    "inventory",
    "orders",
    "payments",
    "shipping",
    "customers",
    "notifications",
  ];
  const finding = await checkSecrets(shop.source(), { services, logsDir: shop.logsDir, secrets: [] });
  expect(finding.violations).toEqual([]);
  expect(finding.checked).toBeGreaterThan(1_000);
});

test("is found out when an idempotency key is dropped", async () => {
  await setStock(shop.operator, one, 100n);
  const buy = async (): Promise<readonly Finding[]> => {
    // For half of all keys the gateway fails after it has set the money aside, for the others before.
    const ready = await come(12, async (buyer) => {
      await insist(() => buyer.add(one, 1n));
      return insist(() => buyer.quote("tok_unreliable"));
    });
    const outcomes = await Promise.all(ready.map(({ buyer, plan }) => outcomeOf(buyer, plan)));
    expect(tally(outcomes)).toEqual({ sold: 12 });
    return audit(await readBooks(shop.source()), nobodysWord);
  };
  await buy();
  expect(violationsOf(audit(await booksAtRest(), nobodysWord))).toBe("");
  intercept = dropIdempotencyKeys();
  expect(describeFindings(await buy())).toMatch(/2: ord_\w+: 2 live authorizations at the gateway/);
}, 120_000);

interface Ready {
  readonly buyer: Buyer;
  readonly plan: PlaceOrderRequest;
}

/** So many guests with full carts; they come a few at a time, and wait for each other. */
async function come(
  count: number,
  prepare: (buyer: Buyer, index: number) => Promise<PlaceOrderRequest>,
): Promise<readonly Ready[]> {
  const ready: Ready[] = [];
  const queue = Array.from({ length: count }).keys();
  const doorkeeper = async (): Promise<void> => {
    for (const index of queue) {
      const buyer = await insist(() => createBuyer(shop.address));
      buyers.push(buyer);
      ready.push({ buyer, plan: await prepare(buyer, index) });
    }
  };
  await Promise.all(Array.from({ length: 10 }, doorkeeper));
  return ready;
}

/** How an order ended: `sold`, or the reason why not. The button is pressed until that is known. */
async function outcomeOf(buyer: Buyer, request: PlaceOrderRequest): Promise<string> {
  for (;;) {
    try {
      const { state } = await insist(() => buyer.place(request));
      if (state !== Order_State.PENDING) return "sold";
    } catch (error) {
      if (error instanceof CallFailure) return error.reason;
      throw error;
    }
  }
}

async function booksAtRest(): Promise<Awaited<ReturnType<typeof readBooks>>> {
  await expect
    .poll(async () => unfinished(await readBooks(shop.source())), { timeout: 60_000, interval: 200 })
    .toEqual([]);
  return readBooks(shop.source());
}

function tally(outcomes: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(
    [...new Set(outcomes)].map((name) => [name, outcomes.filter((outcome) => outcome === name).length]),
  );
}

function violationsOf(findings: readonly Finding[]): string {
  return findings.flatMap(({ violations }) => violations).join("\n");
}
