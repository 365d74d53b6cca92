import { readCatalogue } from "../../sample/catalogue.ts";
import { type FaultShop, startFaultShop } from "../support/fault-shop.ts";
import type { ShopPlace } from "../support/setup.ts";
import { createStaff } from "../support/staff.ts";
import { addStock } from "../support/stock.ts";
import { type Cell, makeCells, type Scenario } from "./cells.ts";
import { type CellResult, createStage, playWave, type Victim } from "./wave.ts";

/** A shop on which waves are played, one after the other. */
export interface Matrix {
  readonly cells: readonly Cell[];
  play(victim: Victim): Promise<readonly CellResult[]>;
  close(): Promise<void>;
}

const unitsPerSku = 100n;

/** Starts a shop with two of orders and one of everything else, so that a killed one is really missed. */
export async function startMatrix(options: {
  readonly place: ShopPlace;
  readonly scenarios: readonly Scenario[];
  readonly say: (text: string) => void;
}): Promise<Matrix> {
  const stage = createStage();
  const { openingStock } = await readCatalogue(new URL("../../sample/catalogue.json", import.meta.url));
  const cells = makeCells(
    options.scenarios,
    openingStock.map(({ sku }) => sku),
  );
  const shop: FaultShop = await startFaultShop({
    place: options.place,
    instances: { orders: 2 },
    intercept: stage.intercept,
  });
  for (const { sku } of cells) await addStock(shop.operator, { sku, units: unitsPerSku });
  const staff = await createStaff(shop);
  return {
    cells,
    async play(victim) {
      await staff.signIn();
      return playWave({ shop, staff, stage, say: options.say }, { cells, victim });
    },
    close() {
      staff.close();
      return shop.close();
    },
  };
}

/** One line for each cell. */
export function describeResults(victim: Victim, results: readonly CellResult[]): string {
  const rows = results.map(({ cell, state, restSeconds, problems }) => {
    const { scenario, point } = cell;
    const when = `${victim.name}, ${point.moment} ${point.call}`;
    const rest = restSeconds === undefined ? "-" : `${restSeconds.toFixed(1)} s`;
    const verdict = problems.length === 0 ? "ok" : `FAILED: ${problems.join("; ")}`;
    return `${scenario.name.padEnd(18)} ${when.padEnd(52)} ${state.padEnd(10)} ${rest.padStart(7)}  ${verdict}`;
  });
  return rows.join("\n");
}
