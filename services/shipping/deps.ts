import type { Logger } from "pino";
import type { Address } from "#gen/shop/type/v1/address.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { GoodsLine } from "./domain-packing.ts";
import type { CurrentNetwork } from "./network.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly network: Pick<CurrentNetwork, "current">;
  readonly openRate: OpenRate;
  readonly log: Logger;
}

/** What a rate promises. */
export interface OpenedRate {
  readonly speed: "STANDARD" | "EXPRESS";
  /** How many days it takes, at the most. */
  readonly maxDays: number;
}

/** What the rate of an id promises, however old it is; undefined when it was not given for these goods and this address. */
export type OpenRate = (
  rateId: string,
  goods: { readonly address: Address; readonly lines: readonly GoodsLine[] },
) => OpenedRate | undefined;
