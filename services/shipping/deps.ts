import type { Logger } from "pino";
import type { Address } from "#gen/shop/type/v1/address.ts";
import type { Changes } from "#mesh/changes.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Database } from "#mesh/postgres/index.ts";
import type { Speed } from "./domain-network.ts";
import type { GoodsLine } from "./domain-packing.ts";
import type { Feed } from "./feed.ts";
import type { CurrentNetwork } from "./network.ts";
import type { Rates } from "./rates.ts";
import type { ShipmentRow } from "./store.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  readonly network: Pick<CurrentNetwork, "current">;
  readonly sealRate: Rates["seal"];
  readonly openRate: OpenRate;
  /** The one currency the shop sells in. */
  readonly currencyCode: string;
  readonly changes: Pick<Changes<ShipmentRow>, "watch">;
  readonly feed: Feed;
  /** Says that this process changed a shipment, which now is like this. */
  readonly tell: (shipment: ShipmentRow) => void;
  /** Gives what is booked its tours. */
  readonly sorter: { wake(): void };
  readonly log: Logger;
}

/** What a rate promises. */
export interface OpenedRate {
  readonly speed: Speed;
  /** How many days it takes, at the most. */
  readonly maxDays: number;
}

/** What the rate of an id promises, however old it is; undefined when it was not given for these goods and this address. */
export type OpenRate = (rateId: string, goods: RatedGoods) => OpenedRate | undefined;

/** What a rate is for. Of the address, the country and the postal code count, as for the price. */
export interface RatedGoods {
  readonly address: Pick<Address, "countryCode" | "postalCode">;
  readonly lines: readonly GoodsLine[];
}
