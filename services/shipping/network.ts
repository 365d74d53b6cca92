import type { Logger } from "pino";
import type { Database } from "#mesh/postgres/index.ts";
import { type Background, repeat } from "#mesh/repeat.ts";
import { type Network, networkProblems } from "./domain-network.ts";
import { readNetwork } from "./store-network.ts";

/** How long a change of the network's tables takes to be followed, at the most. */
const REREAD_MS = 60_000;

/** The network as it was last read. */
export interface CurrentNetwork extends Background {
  readonly current: () => Network;
  /** Reads it now. Throws when what it finds would leave parcels without a vehicle; then the one before stays. */
  readonly reread: () => Promise<void>;
}

/** Reads the network, and again every minute. Rejects when there is none that goods can be sent through. */
export async function followNetwork(deps: {
  readonly db: Database;
  readonly log: Pick<Logger, "warn">;
}): Promise<CurrentNetwork> {
  const read = async (): Promise<Network> => {
    const network = await readNetwork(deps.db);
    const problems = networkProblems(network);
    if (problems.length > 0) throw new Error(`the network is not whole: ${problems.join("; ")}`);
    return network;
  };
  let network = await read();
  const reread = async (): Promise<void> => {
    network = await read();
  };
  const reader = repeat({ name: "reading the network", everyMs: REREAD_MS, log: deps.log }, reread);
  return { current: () => network, reread, close: reader.close };
}
