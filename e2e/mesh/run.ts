import { setTimeout as delay } from "node:timers/promises";
import { dataFolder } from "../../cli/data/folder.ts";
import { operatorMesh } from "../../cli/operator-client.ts";
import { readCatalogue } from "../../sample/catalogue.ts";
import { audit } from "../audit/audit.ts";
import type { Finding } from "../audit/books.ts";
import { unfinished } from "../audit/orders.ts";
import { type BooksSource, readBooks } from "../audit/read-books.ts";
import { programsDir, type ShopPlace } from "../support/setup.ts";
import { withShop } from "../support/shop.ts";
import { addStock } from "../support/stock.ts";
import { type ControlDesk, createControlDesk } from "./control-desk.ts";
import type { Purchase } from "./journey.ts";
import { type Load, startLoad } from "./load.ts";
import type { Phase } from "./phases.ts";
import { judge, warmUp } from "./report.ts";
import { proveRules, type RuleProof } from "./rules.ts";
import { runPhases } from "./run-phases.ts";

export interface MeshRunOptions {
  readonly place: ShopPlace;
  /** Whether traffic rules are tried, too, before anybody shops. */
  readonly proveRules: boolean;
  readonly phases: readonly Phase[];
  readonly shoppersPerSecond: number;
  /** How long they shop before anything is done: until then the processes compile themselves. */
  readonly warmUpMs: number;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What a run has shown. */
export interface MeshOutcome {
  readonly table: string;
  readonly rules: readonly RuleProof[];
  readonly findings: readonly Finding[];
  readonly orders: number;
  /** What is not as it must be, but for the findings; empty when all is. */
  readonly problems: readonly string[];
}

const skuCount = 24;
const unitsPerSku = 100_000n;
const quietWithinMs = 60_000;
const quietPollMs = 500;

/** Starts a shop, lets people shop in it steadily, does to it what the phases say, and audits it once it is at rest. */
export function runMesh(options: MeshRunOptions): Promise<MeshOutcome> {
  const { place, shoppersPerSecond, say, signal } = options;
  return withShop({ dataDir: place.dataDir, programsDir, signal }, async ({ shop, state, source }) => {
    const operator = operatorMesh(state, dataFolder(place.dataDir));
    try {
      const desk = createControlDesk(operator);
      const skus = await stockUp(desk);
      const rules = options.proveRules ? await proveRules(desk, shop.address) : [];
      for (const { what, detail } of rules) say(`${what}: ${detail}`);
      const load = startLoad({ address: shop.address, skus, shoppersPerSecond });
      const outcome = await shopThrough(options, { load, desk, source });
      return { ...outcome, rules };
    } finally {
      operator.close();
    }
  });
}

async function stockUp({ operator }: ControlDesk): Promise<readonly string[]> {
  const { openingStock } = await readCatalogue(new URL("../../sample/catalogue.json", import.meta.url));
  const skus = openingStock.slice(0, skuCount).map(({ sku }) => sku);
  for (const sku of skus) await addStock(operator, { sku, units: unitsPerSku });
  return skus;
}

async function shopThrough(
  { phases, warmUpMs, say, signal }: MeshRunOptions,
  { load, desk, source }: { readonly load: Load; readonly desk: ControlDesk; readonly source: BooksSource },
): Promise<Omit<MeshOutcome, "rules">> {
  try {
    load.recorder.enter(warmUp);
    await delay(warmUpMs, undefined, { signal });
    load.recorder.enter(undefined);
    const runs = await runPhases(phases, { desk, recorder: load.recorder, say });
    await load.stop();
    const { table, problems } = judge(runs, load.recorder.calls);
    const { findings, restless, orders, unpaid } = await examine(source, load.purchases);
    const turnedAway = load.turnedAway() === 0 ? [] : [`${load.turnedAway()} shoppers were turned away: too much load`];
    return { table, findings, orders, problems: [...problems, ...restless, ...unpaid, ...turnedAway] };
  } finally {
    await load.stop();
  }
}

/** Waits for the shop to come to rest, and reads its books: every order must be paid, each once. */
async function examine(
  source: BooksSource,
  purchases: readonly Purchase[],
): Promise<{
  readonly findings: readonly Finding[];
  readonly restless: readonly string[];
  readonly unpaid: readonly string[];
  readonly orders: number;
}> {
  const giveUpMs = performance.now() + quietWithinMs;
  let books = await readBooks(source);
  while (unfinished(books).length > 0 && performance.now() < giveUpMs) {
    await delay(quietPollMs);
    books = await readBooks(source);
  }
  const unpaid = books.orders.filter(({ state }) => state !== "PAID");
  return {
    findings: audit(books, { acknowledged: purchases, asked: new Set(), replays: [] }),
    restless: unfinished(books),
    unpaid: unpaid.map(({ id, state, lastError }) => `${id} ended as ${state} ${lastError}`),
    orders: books.orders.length,
  };
}
