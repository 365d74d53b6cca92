import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { OperatorError } from "./operator-error.ts";

export const gatewayName = "gateway";
export const controlName = "control";
export const simulatorName = "payment-gateway";
/** Takes the shop's mails, where no mail server of the operator's does. */
export const mailboxName = "mailbox";
export const postgresName = "postgres";
/** Ourselves, as a workload of the mesh. */
export const supervisorName = "supervisor";

/** The most processes of one service; while one takes the place of another there may be one more. */
export const maxInstances = 8;

/** What programs of one sort have in common: the instances of a service, or one simulator. */
export interface Kind {
  /** The name of its folder. */
  readonly name: string;
  /** Whether it is one of the shop's services; a simulator is the outside world. */
  readonly isService: boolean;
  /** Whether it keeps data, and so has a database of its own: it does when it brings migrations. */
  readonly ownsData: boolean;
  /** When it stops: those of the first tier first. */
  readonly tier: number;
  /** How many of it there can be. */
  readonly atMost: number;
}

/** How many processes of each service run; one, of those that are not named. */
export type Instances = Readonly<Record<string, number>>;

// What stops together, and when: the door first, then whoever calls before whoever is called, so that work under way can
// be finished. Whoever stops leaves the registry before, so control goes last. Services that are not named here are
// taken for callers, and go after the gateway.
const tiers: readonly (readonly string[])[] = [
  [gatewayName],
  [],
  ["cart", "payments"],
  ["catalog", "inventory", "identity", "shipping", "notifications"],
  [simulatorName, mailboxName],
  [controlName],
];
const callersTier = tiers.findIndex((names) => names.length === 0);
const simulators: readonly string[] = [simulatorName, mailboxName];
const single: readonly string[] = [controlName, ...simulators];

/**
 * All that has been built, in the order in which it stops. Throws OperatorError when a program is missing that there is
 * no shop without.
 */
export function findKinds(programsDir: URL): readonly Kind[] {
  for (const name of tiers.flat()) {
    const file = fileURLToPath(new URL(programPath(name), programsDir));
    if (!existsSync(file)) throw new OperatorError(`${file} is missing: build first, with npm run build`);
  }
  const services = readdirSync(new URL("services/", programsDir)).filter((name) =>
    existsSync(new URL(programPath(name), programsDir)),
  );
  return [...services, ...simulators]
    .map((name) => ({
      name,
      isService: !simulators.includes(name),
      ownsData: existsSync(new URL(`services/${name}/migrations`, programsDir)),
      tier: tierOf(name),
      atMost: single.includes(name) ? 1 : maxInstances,
    }))
    .toSorted((one, other) => one.tier - other.tier);
}

function tierOf(name: string): number {
  const tier = tiers.findIndex((names) => names.includes(name));
  return tier < 0 ? callersTier : tier;
}

/** How many processes of each kind are wanted. Throws OperatorError when instances are wanted of something else. */
export function countInstances(kinds: readonly Kind[], wanted: Instances): ReadonlyMap<string, number> {
  const scalable = kinds.filter(({ atMost }) => atMost > 1).map(({ name }) => name);
  const unknown = Object.keys(wanted).find((name) => !scalable.includes(name));
  if (unknown !== undefined) {
    throw new OperatorError(`there is no service "${unknown}" to run several instances of: ${scalable.join(", ")}`);
  }
  return new Map(kinds.map(({ name }) => [name, wanted[name] ?? 1]));
}

/** What an instance of a kind is called: `cart-2`; the only one that there can be goes by the kind's name. */
export function instanceName({ name, atMost }: Kind, number: number): string {
  return atMost === 1 ? name : `${name}-${number}`;
}

/** Where a program stands in a folder of built programs: `services/cart/main.js`. */
export function programPath(kind: string): string {
  return `${simulators.includes(kind) ? "simulators" : "services"}/${kind}/main.js`;
}
