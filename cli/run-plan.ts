import type { Clock } from "#mesh/clock.ts";
import { loopback } from "./checks/ports.ts";
import type { Secrets } from "./data/secrets.ts";
import type { Place, Places } from "./places.ts";
import type { LogLevel } from "./settings.ts";
import { gatewayName } from "./topology.ts";

/**
 * At which address a program reaches another: at that where the other listens, unless somebody stands in between. Asked
 * once for each way. PostgreSQL is a callee by the name `postgres`.
 */
export type Reach = (way: Way) => Promise<string>;

/** From one program to another: `orders-1` to `payments-1` at `127.0.0.1:4321`. */
export interface Way {
  readonly caller: string;
  readonly callee: string;
  readonly address: string;
}

export const directly: Reach = async ({ address }) => address;

/** What the programs of one run need to know. */
export interface RunPlan {
  readonly places: Places;
  readonly publicPort: number;
  /** Where control lets processes join: `127.0.0.1:4321`. It has a port of its own, the same for the whole run. */
  readonly joinAddress: string;
  /** Where control keeps its files, `trust.pem` among them. */
  readonly controlDir: string;
  /** The address of a service's own database, with its password; undefined for who keeps no data. */
  readonly databaseUrl: (service: string) => string | undefined;
  readonly reach: Reach;
  readonly secrets: Secrets;
  /** Names the run. */
  readonly runId: string;
  readonly simulatorDir: string;
  readonly mailDir: string;
  readonly logLevel: LogLevel;
  readonly clock: Clock;
  /** Our own environment, of which each process gets only what every program needs. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The addresses of instances, by service. */
export type Targets = Readonly<Record<string, readonly string[]>>;

/** Where the instances of each service listen now. */
export function targetsOf(places: Places): Targets {
  const targets = new Map<string, readonly string[]>();
  for (const { kind, port } of places.all()) {
    if (!kind.isService || kind.name === gatewayName) continue;
    targets.set(kind.name, [...(targets.get(kind.name) ?? []), `${loopback}:${port}`]);
  }
  return Object.fromEntries(targets);
}

/** Where the only one of a kind listens: control, or the simulator. Throws when there is none. */
export function addressOf(kind: string, places: Places): string {
  const place = places.all().find((one: Place) => one.kind.name === kind);
  if (place === undefined) throw new Error(`there is no ${kind} in this run`);
  return `${loopback}:${place.port}`;
}

/** Asks once for each way, however often a program is started. */
export function rememberWays(reach: Reach): Reach {
  const known = new Map<string, Promise<string>>();
  return (way) => {
    const key = [way.caller, way.callee, way.address].join(" ");
    const address = known.get(key) ?? reach(way);
    known.set(key, address);
    return address;
  };
}
