import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { deriveJoinKey, makeJoinToken } from "#mesh/identity/join-token.ts";
import { loopback } from "./checks/ports.ts";
import { runIdVariable } from "./data/leftovers.ts";
import { exitCodes, OperatorError } from "./operator-error.ts";
import type { Place } from "./places.ts";
import { addressOf, type RunPlan, type Targets } from "./run-plan.ts";
import { controlName, gatewayName, mailboxName, postgresName, simulatorName, supervisorName } from "./topology.ts";

// Each process gets what it needs and nothing else: above all, no other service's database.
export type Environment = Readonly<Record<string, string>>;

/** What the process of a place gets; to be made anew for each start, since a join token is good for one alone. */
export async function environmentOf(place: Place, version: string, plan: RunPlan): Promise<Environment> {
  const common = commonEnv(plan);
  if (place.kind.name === simulatorName) return { ...common, ...(await simulatorEnv(place, plan)) };
  if (place.kind.name === mailboxName) return { ...common, ...mailboxEnv(place, plan) };
  const member = { ...common, ...(await memberEnv(place, plan)), SHOPMESH_VERSION: version };
  if (place.kind.name === controlName) return { ...member, ...controlEnv(plan) };
  return {
    ...member,
    ...(await joinEnv(place.kind.name, plan)),
    ...(place.kind.name === gatewayName ? gatewayEnv(plan) : {}),
    ...(await databaseAccess(place, plan)),
    ...(place.kind.name === "payments" ? await paymentGatewayAccess(place, plan) : {}),
    ...(place.kind.name === "notifications" ? await mailAccess(place, plan) : {}),
    ...(place.kind.name === "shipping" ? courierEnv(plan) : {}),
  };
}

/** The supervisor's own settings: it calls control, and the operator calls it. */
export function supervisorEnv(plan: RunPlan): Environment {
  return {
    SHOPMESH_LISTEN: `${loopback}:0`,
    SHOPMESH_INSTANCE: supervisorName,
    SHOPMESH_LOG_LEVEL: plan.logLevel,
    SHOPMESH_CONTROL: addressOf(controlName, plan.places),
  };
}

async function memberEnv({ name, port }: Place, plan: RunPlan): Promise<Environment> {
  return {
    SHOPMESH_LISTEN: `${loopback}:${port}`,
    SHOPMESH_TARGETS: JSON.stringify(await detours(name, plan)),
    SHOPMESH_INSTANCE: name,
  };
}

/** The services to which somebody stands in between, for this caller. All others are found through control. */
async function detours(caller: string, { places, reach }: RunPlan): Promise<Targets> {
  const services = places.all().filter(({ kind }) => kind.isService && ![gatewayName, controlName].includes(kind.name));
  const ways = services.map(async ({ name: callee, kind, port }) => {
    const address = `${loopback}:${port}`;
    return { service: kind.name, address, reached: await reach({ caller, callee, address }) };
  });
  const targets = new Map<string, readonly string[]>();
  const all = await Promise.all(ways);
  const detoured = new Set(all.filter(({ address, reached }) => reached !== address).map(({ service }) => service));
  for (const { service, reached } of all) {
    if (detoured.has(service)) targets.set(service, [...(targets.get(service) ?? []), reached]);
  }
  return Object.fromEntries(targets);
}

/** What a process needs to join the mesh as a service. */
async function joinEnv(service: string, plan: RunPlan): Promise<Environment> {
  const { places, joinAddress, controlDir, secrets, clock } = plan;
  const key = deriveJoinKey(secrets.joinSecret, service);
  return {
    SHOPMESH_CONTROL: addressOf(controlName, places),
    SHOPMESH_JOIN: joinAddress,
    SHOPMESH_JOIN_TOKEN: await makeJoinToken({ key, service, id: randomUUID(), now: clock.now() }),
    SHOPMESH_TRUST_FILE: join(controlDir, "trust.pem"),
  };
}

/** All gateways accept on one socket, which we hold: nobody is refused while one takes the place of another. */
function gatewayEnv({ publicPort, places }: RunPlan): Environment {
  // A contract whose service is still to be written, or runs elsewhere, must not keep the shop from opening.
  const services = places.all().flatMap(({ kind }) => (kind.isService ? [kind.name] : []));
  return {
    SHOPMESH_PORT: String(publicPort),
    SHOPMESH_PUBLIC_SOCKET: "handed",
    SHOPMESH_SERVICES: [...new Set(services)].join(","),
  };
}

function controlEnv({ joinAddress, controlDir, secrets, env }: RunPlan): Environment {
  return {
    ...pick(["SHOPMESH_CERTIFICATE_LIFETIME_SECONDS"], env),
    SHOPMESH_JOIN_LISTEN: joinAddress,
    SHOPMESH_JOIN_SECRET: secrets.joinSecret,
    SHOPMESH_CONTROL_DATA: controlDir,
  };
}

// How the simulator misbehaves; the rest is not for others to set.
const simulatorSettings = [
  "SHOPMESH_SIMULATOR_SLOW_MS",
  "SHOPMESH_SIMULATOR_WEBHOOK_COPIES",
  "SHOPMESH_SIMULATOR_WEBHOOK_DELAY_MS",
  "SHOPMESH_SIMULATOR_WEBHOOK_SHUFFLE_MS",
] as const;

async function simulatorEnv({ name: caller, port }: Place, plan: RunPlan): Promise<Environment> {
  const { env, secrets, simulatorDir, publicPort, reach } = plan;
  const door = await reach({ caller, callee: gatewayName, address: `${loopback}:${publicPort}` });
  return {
    ...pick(simulatorSettings, env),
    SHOPMESH_SIMULATOR_PORT: String(port),
    SHOPMESH_SIMULATOR_KEY: secrets.simulatorKey,
    SHOPMESH_SIMULATOR_DATA: simulatorDir,
    // As the outside world it knows the public address alone.
    SHOPMESH_SIMULATOR_WEBHOOK_URL: `http://${door}/webhooks/simulator`,
    SHOPMESH_SIMULATOR_WEBHOOK_SECRET: secrets.webhookSecret,
  };
}

async function databaseAccess({ name, kind }: Place, plan: RunPlan): Promise<Environment> {
  const databaseUrl = plan.databaseUrl(kind.name);
  if (databaseUrl === undefined) return {};
  const url = new URL(databaseUrl);
  url.host = await plan.reach({ caller: name, callee: postgresName, address: url.host });
  return { SHOPMESH_DATABASE_URL: url.href };
}

// Which payment gateway it is, when not the simulator, and how payments opens it.
const paymentGatewaySettings = [
  "SHOPMESH_PAYMENT_GATEWAY",
  "SHOPMESH_STRIPE_KEY",
  "SHOPMESH_STRIPE_URL",
  "SHOPMESH_STRIPE_WEBHOOK_SECRET",
] as const;

async function paymentGatewayAccess({ name: caller }: Place, plan: RunPlan): Promise<Environment> {
  const { env, secrets, places, reach } = plan;
  const address = await reach({ caller, callee: simulatorName, address: addressOf(simulatorName, places) });
  return {
    ...pick(paymentGatewaySettings, env),
    SHOPMESH_PAYMENT_GATEWAY_URL: `http://${address}`,
    SHOPMESH_PAYMENT_GATEWAY_KEY: secrets.simulatorKey,
    SHOPMESH_PAYMENT_WEBHOOK_SECRET: secrets.webhookSecret,
  };
}

function mailboxEnv({ port }: Place, { mailDir }: RunPlan): Environment {
  return { SHOPMESH_MAILBOX_PORT: String(port), SHOPMESH_MAIL_DIR: mailDir };
}

/**
 * How mails leave by a mail server of the operator's; undefined when there is none. Throws OperatorError when it is not
 * said who writes them: no server takes mails from an address that is made up.
 */
export function operatorsMail(env: RunPlan["env"]): Environment | undefined {
  const { SHOPMESH_SMTP_URL: url, SHOPMESH_MAIL_FROM: from } = env;
  if (url === undefined || url === "") return undefined;
  if (from === undefined || from === "") {
    throw new OperatorError("SHOPMESH_SMTP_URL wants SHOPMESH_MAIL_FROM, such as Shopmesh <orders@shop.example>", {
      exitCode: exitCodes.usage,
    });
  }
  return { SHOPMESH_SMTP_URL: url, SHOPMESH_MAIL_FROM: from };
}

async function mailAccess({ name: caller }: Place, { env, places, mailDir, reach }: RunPlan): Promise<Environment> {
  const given = operatorsMail(env);
  if (given !== undefined) return given;
  const address = await reach({ caller, callee: mailboxName, address: addressOf(mailboxName, places) });
  return {
    SHOPMESH_MAIL_FROM: "Shopmesh <orders@shopmesh.localhost>",
    ...pick(["SHOPMESH_MAIL_FROM"], env),
    SHOPMESH_SMTP_URL: `smtp://${address}`,
    // So that what it holds of a person can be erased with the rest.
    SHOPMESH_MAIL_DIR: mailDir,
  };
}

/** Nobody scans parcels on a laptop: they move along by themselves, unless told otherwise. */
function courierEnv({ env }: RunPlan): Environment {
  return { SHOPMESH_COURIER: "simulated", ...pick(["SHOPMESH_COURIER"], env) };
}

// NODE_OPTIONS is left out on purpose: one --inspect cannot be meant for eight processes.
const passedOn = ["PATH", "TMPDIR", "TZ", "LANG", "LC_ALL", "SHOPMESH_CURRENCY"] as const;

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
