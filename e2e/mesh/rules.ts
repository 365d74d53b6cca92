import { randomUUID } from "node:crypto";
import type { Client } from "@grpc/grpc-js";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import { CatalogServiceService } from "#gen/shop/catalog/v1/catalog_service.ts";
import { sku } from "../support/fixtures.ts";
import { CallFailure, callUnary } from "../support/wire.ts";
import { openClient } from "./clients.ts";
import { type ControlDesk, until } from "./control-desk.ts";

/** What a rule was seen to do. */
export interface RuleProof {
  readonly what: string;
  readonly detail: string;
  readonly passed: boolean;
}

const callTimeoutMs = 5_000;

/** A shop in which nobody else shops, seen from outside and by its operator. */
interface Scene {
  readonly desk: ControlDesk;
  readonly client: Client;
}

/** Shows that traffic rules do what they say. Nobody else may call meanwhile: calls are counted. */
export async function proveRules(desk: ControlDesk, address: string): Promise<readonly RuleProof[]> {
  const client = openClient(address, "plain");
  try {
    const scene = { desk, client };
    return [...(await proveCanary(scene)), ...(await proveFault(scene))];
  } finally {
    client.close();
  }
}

const canaryPercent = 10;
const canaryCalls = 600;
const headerCalls = 60;
/** Four standard deviations: once in 16,000 runs the dice alone go beyond. */
const deviations = 4;
const canaryHeader = { header: "x-proof-canary", value: "yes" };

async function proveCanary({ desk, client }: Scene): Promise<readonly RuleProof[]> {
  const supervisor = desk.operator.client(SupervisorService);
  const { process } = await supervisor.startCanary(
    {
      requestId: randomUUID(),
      service: "catalog",
      release: { version: "catalog-canary", programsDir: "" },
      percent: canaryPercent,
      headers: [canaryHeader],
    },
    desk.call(),
  );
  const name = process?.name ?? "";
  const share = await counted(desk, name, canaryCalls, () => getProduct(client));
  const byHeader = await counted(desk, name, headerCalls, () =>
    getProduct(client, { [canaryHeader.header]: canaryHeader.value }),
  );
  await supervisor.endCanary({ requestId: randomUUID(), service: "catalog" }, desk.call());
  const part = canaryPercent / 100;
  const noise = deviations * Math.sqrt(canaryCalls * part * (1 - part));
  return [
    {
      what: `a canary at ${canaryPercent} % gets ${canaryPercent} % of calls`,
      detail: `${share.ofOne} of ${share.ofAll}`,
      passed: share.ofAll >= canaryCalls && Math.abs(share.ofOne - canaryCalls * part) <= noise,
    },
    {
      what: "a header sends calls to the canary",
      detail: `${byHeader.ofOne} of ${byHeader.ofAll}`,
      passed: byHeader.ofOne >= headerCalls,
    },
  ];
}

/** Makes calls, one after the other, and says how many of them one instance of catalog answered, by its own word. */
async function counted(
  desk: ControlDesk,
  name: string,
  count: number,
  call: () => Promise<unknown>,
): Promise<{ readonly ofOne: number; readonly ofAll: number }> {
  const before = await totals(desk);
  for (let made = 0; made < count; made++) await call();
  let counts = { ofOne: 0, ofAll: 0 };
  await until(`${count} calls of catalog are told`, async () => {
    const after = await totals(desk);
    const grown = [...after].map(([instance, total]) => [instance, total - (before.get(instance) ?? 0)] as const);
    counts = {
      ofOne: grown.find(([instance]) => instance === name)?.[1] ?? 0,
      ofAll: grown.reduce((sum, [, more]) => sum + more, 0),
    };
    return counts.ofAll >= count;
  });
  return counts;
}

async function totals(desk: ControlDesk): Promise<ReadonlyMap<string, number>> {
  const own = (await desk.instances()).filter(({ instance }) => instance?.service === "catalog");
  return new Map(own.map(({ instance, stats }) => [instance?.name ?? "", Number(stats?.callsTotal ?? 0n)]));
}

const faultSeconds = 3;
const faultPollMs = 10;
const withinMs = 1_000;
/** ABORTED: nobody sends such a call again, and nothing else gives it for a read. */
const faultStatus = 10;

async function proveFault({ desk, client }: Scene): Promise<readonly RuleProof[]> {
  const traffic = desk.operator.client(TrafficService);
  const fault = {
    faultId: "",
    callers: ["gateway"],
    methods: [CatalogServiceService.getProduct.path],
    percent: 100,
    delay: undefined,
    statusCode: faultStatus,
  };
  const timeToLive = { seconds: BigInt(faultSeconds), nanos: 0 };
  const beginMs = performance.now();
  await traffic.createTrafficFault({ requestId: randomUUID(), service: "catalog", fault, timeToLive }, desk.call());
  const since = (): number => performance.now() - beginMs;
  const isOver = (): boolean => since() > faultSeconds * 1_000;
  await until("calls fail", async () => (await outcome(client)) === "ABORTED" || isOver(), faultPollMs);
  const appearedMs = since();
  await until("calls succeed", async () => (await outcome(client)) === "OK", faultPollMs);
  const endedMs = since();
  return [
    {
      what: "a fault appears within a second of its rule",
      detail: `${appearedMs.toFixed(0)} ms`,
      passed: appearedMs <= withinMs,
    },
    {
      what: `a fault of ${faultSeconds} s ends by itself`,
      detail: `after ${endedMs.toFixed(0)} ms`,
      passed: endedMs >= faultSeconds * 1_000 - withinMs && endedMs <= faultSeconds * 1_000 + withinMs,
    },
  ];
}

async function outcome(client: Client): Promise<string> {
  try {
    await getProduct(client);
    return "OK";
  } catch (error) {
    if (error instanceof CallFailure) return error.code;
    throw error;
  }
}

function getProduct(client: Client, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const request = { key: { $case: "sku", value: sku } } as const;
  return callUnary(client, CatalogServiceService.getProduct, request, {
    token: undefined,
    timeoutMs: callTimeoutMs,
    headers,
  });
}
