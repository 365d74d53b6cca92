import { parseArgs } from "node:util";

export interface ChaosOptions {
  /** How many orders are acknowledged before the shopping ends; a few more may be under way then. */
  readonly orders: number;
  /** Decides what the buyers want, and what breaks when. */
  readonly seed: number;
  readonly buyers: number;
  /** The longest that the shopping may take. */
  readonly minutes: number;
  /** Keeps the folder, with the databases and the logs. */
  readonly keep: boolean;
  /** Plants a bug, to see that it is found: idempotency keys are dropped on the way to the payment gateway. */
  readonly plant: boolean;
}

/** Throws an Error with one line when the options are not as they should be. */
export function readOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      orders: { type: "string", default: "2000" },
      seed: { type: "string", default: "7" },
      buyers: { type: "string", default: "24" },
      minutes: { type: "string", default: "60" },
      keep: { type: "boolean", default: false },
      plant: { type: "boolean", default: false },
    },
  });
  return {
    orders: wholeNumber("--orders", values.orders, 100_000),
    seed: wholeNumber("--seed", values.seed, 1_000_000),
    buyers: wholeNumber("--buyers", values.buyers, 200),
    minutes: wholeNumber("--minutes", values.minutes, 600),
    keep: values.keep,
    plant: values.plant,
  };
}

function wholeNumber(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most) throw new Error(`${name} must be a number from 1 to ${most}`);
  return value;
}
