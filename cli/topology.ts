import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loopback } from "./checks/ports.ts";
import { runIdVariable } from "./data/leftovers.ts";
import type { Secrets } from "./data/secrets.ts";
import { OperatorError } from "./operator-error.ts";
import type { LogLevel } from "./settings.ts";
import type { Tiers } from "./supervisor/fleet.ts";
import type { Program } from "./supervisor/process.ts";

/** One service of the shop, apart from the gateway. */
export interface Service {
  /** The name of its folder. */
  readonly name: string;
  /** Whether it keeps data, and so has a database of its own: it does when it brings migrations. */
  readonly ownsData: boolean;
}

export const gatewayName = "gateway";
export const simulatorName = "payment-gateway";

// What stops together, and when: whoever calls goes before whoever is called, so that work under way can be finished.
// The gateway is not among them: it is the door, and opens last and closes first. Services that are not named here are
// taken for callers, and go first.
const calledServices = [
  ["cart", "payments"],
  ["catalog", "inventory", "identity"],
] as const;

/** What the programs of one run need to know. */
export interface RunPlan {
  /** Where the built programs are: `dist/`. */
  readonly programsDir: URL;
  readonly services: readonly Service[];
  readonly publicPort: number;
  /** The port of each program but the gateway. */
  readonly ports: ReadonlyMap<string, number>;
  /** The address of each service's own database, with its password. */
  readonly databaseUrls: ReadonlyMap<string, string>;
  readonly secrets: Secrets;
  /** Names the run. */
  readonly runId: string;
  /** By which processes of this run prove who they are. */
  readonly runSecret: string;
  readonly simulatorDataDir: string;
  readonly logLevel: LogLevel;
  /** Our own environment, of which each process gets only what every program needs. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The services that have been built. Throws OperatorError when a program is missing that there is no shop without. */
export function findServices(programsDir: URL): readonly Service[] {
  for (const name of [gatewayName, simulatorName, ...calledServices.flat()]) {
    const file = programFile(name, programsDir);
    if (!existsSync(file)) throw new OperatorError(`${file} is missing: build first, with npm run build`);
  }
  return readdirSync(new URL("services/", programsDir))
    .filter((name) => name !== gatewayName && existsSync(programFile(name, programsDir)))
    .map((name) => ({ name, ownsData: existsSync(new URL(`services/${name}/migrations`, programsDir)) }));
}

/** The names of all programs that need a port of their own on the loopback. */
export function privatePrograms(services: readonly Service[]): readonly string[] {
  return [...services.map(({ name }) => name), simulatorName];
}

/** Where each service listens, by its name. */
export function targetsOf({ services, ports }: Pick<RunPlan, "services" | "ports">): Targets {
  return Object.fromEntries(services.map(({ name }) => [name, [`${loopback}:${portOf(ports, name)}`]]));
}

export type Targets = Readonly<Record<string, readonly string[]>>;

/** The programs behind the gateway, in tiers from the first to stop to the last. */
export function planInnerPrograms(plan: RunPlan): Tiers {
  const called: readonly string[] = calledServices.flat();
  const names = plan.services.map(({ name }) => name);
  const callers = names.filter((name) => !called.includes(name));
  return [callers, ...calledServices, [simulatorName]].map((tier) => tier.map((name) => planProgram(name, plan)));
}

/** The gateway: nobody can use it before all others are there. */
export function planGateway(plan: RunPlan): Tiers {
  return [[planProgram(gatewayName, plan)]];
}

function planProgram(name: string, plan: RunPlan): Program {
  const port = name === gatewayName ? plan.publicPort : portOf(plan.ports, name);
  const env = { ...commonEnv(plan), ...ownEnv(name, port, plan) };
  return { name, file: programFile(name, plan.programsDir), port, env };
}

function programFile(name: string, programsDir: URL): string {
  const folder = name === simulatorName ? "simulators" : "services";
  return fileURLToPath(new URL(`${folder}/${name}/main.js`, programsDir));
}

// Each process gets what it needs and nothing else: above all, no other service's database.
function ownEnv(name: string, port: number, plan: RunPlan): Readonly<Record<string, string>> {
  if (name === simulatorName) {
    return {
      SHOPMESH_SIMULATOR_PORT: String(port),
      SHOPMESH_SIMULATOR_KEY: plan.secrets.simulatorKey,
      SHOPMESH_SIMULATOR_DATA: plan.simulatorDataDir,
    };
  }
  const member = {
    SHOPMESH_LISTEN: `${loopback}:${port}`,
    SHOPMESH_TARGETS: JSON.stringify(targetsOf(plan)),
    SHOPMESH_SECRET: plan.runSecret,
    SHOPMESH_INSTANCE: `${name}-1`,
  };
  if (name === gatewayName) return { ...member, SHOPMESH_PORT: String(port) };
  const databaseUrl = plan.databaseUrls.get(name);
  return {
    ...member,
    ...(databaseUrl === undefined ? {} : { SHOPMESH_DATABASE_URL: databaseUrl }),
    ...(name === "payments" ? gatewayAccess(plan) : {}),
  };
}

function gatewayAccess(plan: RunPlan): Readonly<Record<string, string>> {
  return {
    SHOPMESH_PAYMENT_GATEWAY_URL: `http://${loopback}:${portOf(plan.ports, simulatorName)}`,
    SHOPMESH_PAYMENT_GATEWAY_KEY: plan.secrets.simulatorKey,
  };
}

// NODE_OPTIONS is left out on purpose: one --inspect cannot be meant for eight processes.
const passedOn = ["PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "SHOPMESH_VERSION", "SHOPMESH_CURRENCY"] as const;

function commonEnv({ env, logLevel, runId }: RunPlan): Readonly<Record<string, string>> {
  const entries = passedOn.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(entries), SHOPMESH_LOG_LEVEL: logLevel, [runIdVariable]: runId };
}

function portOf(ports: ReadonlyMap<string, number>, name: string): number {
  const port = ports.get(name);
  if (port === undefined) throw new Error(`no port was planned for ${name}`);
  return port;
}
