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
  /** Its programs by name, one an instance: `orders`, or `orders-1` and `orders-2`. */
  readonly instances: readonly string[];
}

/** How many processes of each service run; one, of those that are not named. */
export type Instances = Readonly<Record<string, number>>;

/**
 * At which address a program reaches another: at that where the other listens, unless somebody stands in between. Asked
 * once for each way, before the caller is started. PostgreSQL is a callee by the name `postgres`.
 */
export type Reach = (way: Way) => Promise<string>;

export const directly: Reach = async ({ address }) => address;

/** From one program to another: `orders-1` to `payments` at `127.0.0.1:4321`. */
export interface Way {
  readonly caller: string;
  readonly callee: string;
  readonly address: string;
}

export const gatewayName = "gateway";
/** The control plane: no service of the shop. */
const controlName = "control";
export const simulatorName = "payment-gateway";
export const postgresName = "postgres";

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
  readonly reach: Reach;
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

/**
 * The services that have been built. Throws OperatorError when a program is missing that there is no shop without, or
 * when instances are wanted of something else.
 */
export function findServices(programsDir: URL, instances: Instances = {}): readonly Service[] {
  for (const name of [gatewayName, simulatorName, ...calledServices.flat()]) {
    const file = programFile(name, programsDir);
    if (!existsSync(file)) throw new OperatorError(`${file} is missing: build first, with npm run build`);
  }
  const names = readdirSync(new URL("services/", programsDir)).filter(
    (name) => name !== gatewayName && name !== controlName && existsSync(programFile(name, programsDir)),
  );
  const unknown = Object.keys(instances).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new OperatorError(`there is no service "${unknown}" to run several instances of: ${names.join(", ")}`);
  }
  const services = names.map((name) => ({
    name,
    ownsData: existsSync(new URL(`services/${name}/migrations`, programsDir)),
    instances: instanceNames(name, instances[name] ?? 1),
  }));
  const withData = services.filter(({ ownsData }) => ownsData).flatMap((service) => service.instances);
  if (withData.length > maxProgramsWithData) {
    throw new OperatorError(`at most ${maxProgramsWithData} processes can share PostgreSQL, not ${withData.length}`);
  }
  return services;
}

// Each holds up to ten connections; a PostgreSQL of our own has room for so many.
const maxProgramsWithData = 12;

// The one of a service that has no others goes by the name of the service.
function instanceNames(service: string, count: number): readonly string[] {
  return count === 1 ? [service] : Array.from({ length: count }, (_, index) => `${service}-${index + 1}`);
}

/** The names of all programs that need a port of their own on the loopback. */
export function privatePrograms(services: readonly Service[]): readonly string[] {
  return [...services.flatMap(({ instances }) => instances), simulatorName];
}

/** Where the instances of each service listen, by the service's name. */
export function targetsOf({ services, ports }: Pick<RunPlan, "services" | "ports">): Targets {
  const addressOf = (program: string): string => `${loopback}:${portOf(ports, program)}`;
  return Object.fromEntries(services.map(({ name, instances }) => [name, instances.map(addressOf)]));
}

export type Targets = Readonly<Record<string, readonly string[]>>;

/** The programs behind the gateway, in tiers from the first to stop to the last. */
export function planInnerPrograms(plan: RunPlan): Promise<Tiers> {
  const called: readonly string[] = calledServices.flat();
  const callers = plan.services.map(({ name }) => name).filter((name) => !called.includes(name));
  const tiers = [callers, ...calledServices].map(async (names: readonly string[]) => {
    const services = plan.services.filter(({ name }) => names.includes(name));
    return (await Promise.all(services.map((service) => planService(service, plan)))).flat();
  });
  return Promise.all([...tiers, planSimulator(plan).then((simulator) => [simulator])]);
}

/** The gateway: nobody can use it before all others are there. */
export async function planGateway(plan: RunPlan): Promise<Tiers> {
  const instance = { service: gatewayName, name: gatewayName, number: 1, port: plan.publicPort };
  const env = { ...(await memberEnv(instance, plan)), SHOPMESH_PORT: String(plan.publicPort) };
  return [[planProgram(instance, env, plan)]];
}

/** One process of a service. */
interface Instance {
  readonly service: string;
  /** Of the program. */
  readonly name: string;
  /** From 1. */
  readonly number: number;
  readonly port: number;
}

function planService({ name: service, instances }: Service, plan: RunPlan): Promise<readonly Program[]> {
  const planInstance = async (name: string, index: number): Promise<Program> => {
    const instance = { service, name, number: index + 1, port: portOf(plan.ports, name) };
    const env = {
      ...(await memberEnv(instance, plan)),
      ...(await databaseAccess(instance, plan)),
      ...(service === "payments" ? await gatewayAccess(instance, plan) : {}),
    };
    return planProgram(instance, env, plan);
  };
  return Promise.all(instances.map(planInstance));
}

// How the simulator misbehaves; the rest is not for others to set.
const simulatorSettings = [
  "SHOPMESH_SIMULATOR_SLOW_MS",
  "SHOPMESH_SIMULATOR_WEBHOOK_COPIES",
  "SHOPMESH_SIMULATOR_WEBHOOK_DELAY_MS",
  "SHOPMESH_SIMULATOR_WEBHOOK_SHUFFLE_MS",
] as const;

async function planSimulator(plan: RunPlan): Promise<Program> {
  const port = portOf(plan.ports, simulatorName);
  const door = { caller: simulatorName, callee: gatewayName, address: `${loopback}:${plan.publicPort}` };
  const env = {
    ...pick(simulatorSettings, plan.env),
    SHOPMESH_SIMULATOR_PORT: String(port),
    SHOPMESH_SIMULATOR_KEY: plan.secrets.simulatorKey,
    SHOPMESH_SIMULATOR_DATA: plan.simulatorDataDir,
    // As the outside world it knows the public address alone.
    SHOPMESH_SIMULATOR_WEBHOOK_URL: `http://${await plan.reach(door)}/webhooks/simulator`,
    SHOPMESH_SIMULATOR_WEBHOOK_SECRET: plan.secrets.webhookSecret,
  };
  return planProgram({ service: simulatorName, name: simulatorName, port }, env, plan);
}

function planProgram({ service, name, port }: Omit<Instance, "number">, env: Environment, plan: RunPlan): Program {
  return { name, file: programFile(service, plan.programsDir), port, env: { ...commonEnv(plan), ...env } };
}

function programFile(service: string, programsDir: URL): string {
  const folder = service === simulatorName ? "simulators" : "services";
  return fileURLToPath(new URL(`${folder}/${service}/main.js`, programsDir));
}

// Each process gets what it needs and nothing else: above all, no other service's database.
type Environment = Readonly<Record<string, string>>;

async function memberEnv({ service, name, number, port }: Instance, plan: RunPlan): Promise<Environment> {
  const reachAll = async ({ name: callee, instances }: Service): Promise<readonly [string, readonly string[]]> => [
    callee,
    await Promise.all(instances.map((instance) => reach({ caller: name, callee: instance }, plan))),
  ];
  const targets: Targets = Object.fromEntries(await Promise.all(plan.services.map(reachAll)));
  return {
    SHOPMESH_LISTEN: `${loopback}:${port}`,
    SHOPMESH_TARGETS: JSON.stringify(targets),
    SHOPMESH_SECRET: plan.runSecret,
    SHOPMESH_INSTANCE: `${service}-${number}`,
  };
}

async function databaseAccess({ service, name }: Instance, plan: RunPlan): Promise<Environment> {
  const databaseUrl = plan.databaseUrls.get(service);
  if (databaseUrl === undefined) return {};
  const url = new URL(databaseUrl);
  url.host = await plan.reach({ caller: name, callee: postgresName, address: url.host });
  return { SHOPMESH_DATABASE_URL: url.href };
}

// Which payment gateway it is, when not the simulator, and how payments opens it.
const gatewaySettings = [
  "SHOPMESH_PAYMENT_GATEWAY",
  "SHOPMESH_STRIPE_KEY",
  "SHOPMESH_STRIPE_URL",
  "SHOPMESH_STRIPE_WEBHOOK_SECRET",
] as const;

async function gatewayAccess({ name: caller }: Instance, plan: RunPlan): Promise<Environment> {
  return {
    ...pick(gatewaySettings, plan.env),
    SHOPMESH_PAYMENT_GATEWAY_URL: `http://${await reach({ caller, callee: simulatorName }, plan)}`,
    SHOPMESH_PAYMENT_GATEWAY_KEY: plan.secrets.simulatorKey,
    SHOPMESH_PAYMENT_WEBHOOK_SECRET: plan.secrets.webhookSecret,
  };
}

function reach({ caller, callee }: Omit<Way, "address">, plan: RunPlan): Promise<string> {
  return plan.reach({ caller, callee, address: `${loopback}:${portOf(plan.ports, callee)}` });
}

// NODE_OPTIONS is left out on purpose: one --inspect cannot be meant for eight processes.
const passedOn = ["PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "SHOPMESH_VERSION", "SHOPMESH_CURRENCY"] as const;

function commonEnv({ env, logLevel, runId }: RunPlan): Environment {
  return { ...pick(passedOn, env), SHOPMESH_LOG_LEVEL: logLevel, [runIdVariable]: runId };
}

function pick(names: readonly string[], env: RunPlan["env"]): Environment {
  const entries = names.flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries);
}

function portOf(ports: ReadonlyMap<string, number>, name: string): number {
  const port = ports.get(name);
  if (port === undefined) throw new Error(`no port was planned for ${name}`);
  return port;
}
