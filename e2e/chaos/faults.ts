import { setTimeout as delay } from "node:timers/promises";
import type { Intercept } from "#testing/faults/exchange.ts";
import { type FaultShop, serviceOf } from "../support/fault-shop.ts";
import type { Random } from "./random.ts";

/** What goes wrong, decided by the dice. */
export interface Faults {
  /** Loses, delays and cuts single exchanges. */
  readonly intercept: Intercept;
  /** Breaks things until it is aborted. Rejects only by a defect of ours. */
  run(shop: FaultShop, closing: AbortSignal): Promise<void>;
}

// How often a process is what is killed or paused. Whoever moves money or goods comes first.
const victims: Readonly<Record<string, number>> = {
  orders: 5,
  payments: 5,
  inventory: 4,
  "payment-gateway": 3,
  cart: 1,
  catalog: 1,
  identity: 1,
  gateway: 1,
  control: 2,
};
const kinds = { kill: 34, pause: 24, cut: 22, stall: 14, postgres: 6 } as const;
/** Longer than a lease (30 s): who wakes up then is late. Only orders has leases. */
const longPauseMs = [33_000, 38_000] as const;
const lossRate = 0.006;
const delayRate = 0.02;

export function createFaults(random: Random, count: (what: string) => void): Faults {
  let open = false;
  const intercept: Intercept = async (_, moment) => {
    if (!open) return "pass";
    if (random.chance(lossRate)) {
      count(moment === "before" ? "request lost" : "answer lost");
      return "cut";
    }
    if (random.chance(delayRate)) {
      count("exchange delayed");
      await delay(random.between(50, 2_000));
    }
    return "pass";
  };
  return {
    intercept,
    async run(shop, closing) {
      open = true;
      const asleep = new Map<string, Promise<void>>();
      const turn = async (): Promise<void> => {
        await delay(random.between(200, 2_800), undefined, { signal: closing });
        await breakSomething({ shop, random, count, asleep, closing });
      };
      while (!closing.aborted) {
        await turn().catch((error: unknown) => {
          if (!closing.aborted) throw error;
        });
      }
      open = false;
      await Promise.all(asleep.values());
      for (const program of shop.programs) shop.signal(program, "SIGCONT");
    },
  };
}

interface Breaking {
  readonly shop: FaultShop;
  readonly random: Random;
  readonly count: (what: string) => void;
  readonly asleep: Map<string, Promise<void>>;
  readonly closing: AbortSignal;
}

async function breakSomething({ shop, random, count, asleep, closing }: Breaking): Promise<void> {
  const program = pickProgram(shop, random);
  const link = random.pick(shop.links);
  switch (random.weighted(kinds)) {
    case "kill":
      if (shop.signal(program, "SIGKILL")) count(`${program} killed`);
      return;
    case "pause": {
      // Somebody must be left to do the work.
      if (asleep.size >= 3 || asleep.has(program) || !shop.signal(program, "SIGSTOP")) return;
      const isLong = serviceOf(program) === "orders" && random.chance(0.3);
      const ms = isLong ? random.between(...longPauseMs) : random.between(300, 7_000);
      count(`${program} paused${isLong ? " beyond its lease" : ""}`);
      const awake = delay(ms, undefined, { signal: closing })
        .catch(() => {})
        .then(() => {
          shop.signal(program, "SIGCONT");
          asleep.delete(program);
        });
      asleep.set(program, awake);
      return;
    }
    case "cut":
      count("connections cut");
      return link.cut();
    case "stall":
      count("connections stalled");
      return link.stall(random.between(200, 6_000));
    case "postgres":
      count("PostgreSQL killed");
      return shop.restartPostgres(random.chance(0.5) ? "SIGKILL" : "SIGQUIT");
  }
}

function pickProgram({ programs }: FaultShop, random: Random): string {
  const weights = programs.map((program) => [program, victims[serviceOf(program)] ?? 0] as const);
  return random.weighted(Object.fromEntries(weights));
}
