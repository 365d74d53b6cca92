import { setTimeout as delay } from "node:timers/promises";
import { readCatalogue } from "../../sample/catalogue.ts";
import { audit } from "../audit/audit.ts";
import type { Books, Finding } from "../audit/books.ts";
import { unfinished } from "../audit/orders.ts";
import { readBooks } from "../audit/read-books.ts";
import { checkSecrets } from "../audit/secrets.ts";
import type { Buyer } from "../support/buyer.ts";
import { type FaultShop, startFaultShop } from "../support/fault-shop.ts";
import { dropIdempotencyKeys } from "../support/planted-bug.ts";
import type { ShopPlace } from "../support/setup.ts";
import { createStaff, type Staff } from "../support/staff.ts";
import { setStock } from "../support/stock.ts";
import { createFaults, type Faults } from "./faults.ts";
import type { ChaosOptions } from "./options.ts";
import type { Progress } from "./progress.ts";
import { seededRandom } from "./random.ts";
import { reconcile } from "./reconcile.ts";
import { type BuyersRecord, createRecord } from "./record.ts";
import { replayAll } from "./replay.ts";
import { type Errand, keepShop, runErrands, type Shopkeeping } from "./shopkeeping.ts";
import { shop as goShopping } from "./shopping.ts";

/** What a run of chaos has shown. */
export interface Outcome {
  readonly findings: readonly Finding[];
  readonly books: Books;
  /** Whether all came to rest in time. */
  readonly isQuiet: boolean;
  readonly shoppingSeconds: number;
  readonly acknowledged: number;
}

const skuCount = 6;
const quietWithinMs = 6 * 60_000;
// What a planted bug leaves behind never comes to rest.
const quietWithinPlantedMs = 30_000;
const quietPollMs = 2_000;
const readyWithinMs = 90_000;
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

interface Run {
  readonly options: ChaosOptions;
  readonly place: ShopPlace;
  readonly shop: FaultShop;
  readonly skus: readonly string[];
  readonly faults: Faults;
  readonly staff: Staff;
  readonly record: BuyersRecord;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Starts a shop, lets buyers and faults loose on it, heals it, waits for quiet, and audits it. */
export async function runChaos(
  options: ChaosOptions,
  { place, progress, signal }: Pick<Run, "place" | "progress" | "signal">,
): Promise<Outcome> {
  const faults = createFaults(seededRandom(options.seed), progress.fault);
  const shop = await startFaultShop({
    place,
    instances: { orders: 2, payments: 2, inventory: 2 },
    intercept: options.plant ? dropIdempotencyKeys(faults.intercept) : faults.intercept,
  });
  const closers: (() => void)[] = [];
  try {
    const { openingStock } = await readCatalogue(new URL("../../sample/catalogue.json", import.meta.url));
    const skus = openingStock.slice(0, skuCount).map(({ sku }) => sku);
    // Few units for many buyers; more come as the shopping goes on.
    for (const sku of skus) await setStock(shop.operator, sku, unitsOf(options, 0.4));
    const staff = await createStaff(shop);
    closers.push(staff.close);
    const record = createRecord();
    const run: Run = { options, place, shop, skus, faults, staff, record, progress, signal };
    const { buyers, shoppingSeconds } = await shopUnderFaults(run);
    closers.push(...buyers.map(({ close }) => close));
    const isQuiet = await untilQuiet(run);
    await replayAll({ buyers, record, progress });
    const findings = await examine(run, buyers);
    return { ...findings, isQuiet, shoppingSeconds, acknowledged: record.acknowledged };
  } finally {
    for (const close of closers) close();
    await shop.close();
  }
}

function unitsOf({ orders }: ChaosOptions, perOrder: number): bigint {
  return BigInt(Math.max(1, Math.round((orders * perOrder) / skuCount)));
}

async function shopUnderFaults(
  run: Run,
): Promise<{ readonly buyers: readonly Buyer[]; readonly shoppingSeconds: number }> {
  const { options, shop, skus, faults, staff, record, progress, signal } = run;
  const errands: Errand[] = [];
  const closing = new AbortController();
  const ended = AbortSignal.any([closing.signal, signal]);
  const timeIsUp = setTimeout(() => closing.abort(), options.minutes * 60_000);
  const keeping: Shopkeeping = {
    operator: shop.operator,
    staff,
    skus,
    units: unitsOf(options, 0.09),
    progress: () => record.acknowledged / options.orders,
    count: progress.event,
    nextErrand: () => errands.shift(),
    closing: ended,
  };
  const shopping = Array.from({ length: options.buyers }, (_, index) =>
    goShopping({
      address: shop.address,
      skus,
      random: seededRandom(options.seed * 1_000 + index + 1),
      record,
      count: progress.event,
      send: (errand) => errands.push(errand),
      closing: ended,
    }),
  );
  const beginMs = performance.now();
  progress.begin(() => `${record.acknowledged} of ${options.orders} orders`);
  const working = Promise.all([faults.run(shop, ended), keepShop(keeping)]);
  while (record.acknowledged < options.orders && !ended.aborted) await delay(100);
  const shoppingSeconds = (performance.now() - beginMs) / 1_000;
  clearTimeout(timeIsUp);
  closing.abort();
  await working;
  progress.say("healing: nothing breaks any more");
  await shop.ready(readyWithinMs);
  const buyers = (await Promise.all(shopping)).filter((buyer) => buyer !== undefined);
  await runErrands(keeping);
  signal.throwIfAborted();
  return { buyers, shoppingSeconds };
}

async function untilQuiet({ options, shop, progress, signal }: Run): Promise<boolean> {
  const withinMs = options.plant ? quietWithinPlantedMs : quietWithinMs;
  const giveUpMs = performance.now() + withinMs;
  progress.begin(() => "waiting for quiet");
  for (;;) {
    signal.throwIfAborted();
    const left = unfinished(await readBooks(shop.source()));
    progress.begin(() => `waiting for quiet: ${left.length} left, such as: ${left[0] ?? ""}`);
    if (left.length === 0) return true;
    if (performance.now() > giveUpMs) {
      progress.say(`not quiet after ${withinMs / 1_000} s:\n${left.map((line) => `  ${line}`).join("\n")}`);
      return false;
    }
    await delay(quietPollMs);
  }
}

async function examine(
  { shop, record, staff, progress }: Run,
  buyers: readonly Buyer[],
): Promise<{ readonly books: Books; readonly findings: readonly Finding[] }> {
  progress.begin(() => "reconciling");
  const reconciled = await reconcile(shop.operator);
  progress.begin(() => "reading the books");
  const books = await readBooks(shop.source());
  const secrets = [staff.password, ...buyers.flatMap((buyer) => buyer.secrets())];
  const searched = await checkSecrets(shop.source(), { services, logsDir: shop.logsDir, secrets });
  return { books, findings: [reconciled, ...audit(books, record.word()), searched] };
}
