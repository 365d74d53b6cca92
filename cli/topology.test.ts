import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Program } from "./supervisor/process.ts";
import {
  directly,
  findServices,
  type Instances,
  planGateway,
  planInnerPrograms,
  privatePrograms,
  type RunPlan,
  targetsOf,
} from "./topology.ts";

const withData = ["cart", "catalog", "identity", "inventory", "orders", "payments"];

let dir: string;
let programsDir: URL;
let plan: RunPlan;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "shopmesh-topology-"));
  programsDir = pathToFileURL(`${dir}/`);
  for (const name of withData) mkdirSync(join(dir, "services", name, "migrations"), { recursive: true });
  mkdirSync(join(dir, "services", "notes"), { recursive: true });
  for (const path of [...withData, "gateway", "greeter"].map((name) => join("services", name))) addProgram(path);
  addProgram(join("simulators", "payment-gateway"));
  plan = makePlan();
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

function makePlan(instances: Instances = {}): RunPlan {
  const services = findServices(programsDir, instances);
  return {
    programsDir,
    services,
    publicPort: 8080,
    ports: new Map(privatePrograms(services).map((name, index) => [name, 20_000 + index])),
    databaseUrls: new Map(withData.map((name) => [name, `postgres://${name}:password-of-${name}@host:5432/db`])),
    reach: directly,
    secrets: {
      simulatorKey: "key-of-simulator",
      webhookSecret: "secret-of-webhooks",
      joinSecret: "secret-of-joining",
      databasePasswords: {},
    },
    runId: "run-1",
    runSecret: "secret-of-run",
    simulatorDataDir: "/data/simulator",
    logLevel: "info",
    env: {
      PATH: "/bin",
      NODE_OPTIONS: "--inspect",
      HOME: "/home/ada",
      SHOPMESH_POSTGRES_URL: "postgres://admin:s3cret@host/db",
      SHOPMESH_STRIPE_KEY: "key-of-stripe",
      SHOPMESH_STRIPE_WEBHOOK_SECRET: "secret-of-stripe",
    },
  };
}

function addProgram(path: string): void {
  mkdirSync(join(dir, path), { recursive: true });
  writeFileSync(join(dir, path, "main.js"), "");
}

async function programs(of: RunPlan = plan): Promise<readonly Program[]> {
  return [...(await planInnerPrograms(of)).flat(), ...(await planGateway(of)).flat()];
}

async function environmentOf(name: string, of: RunPlan = plan): Promise<Readonly<Record<string, string>>> {
  return (await programs(of)).find((program) => program.name === name)?.env ?? {};
}

test("runs every service that was built, a new one too", () => {
  expect(plan.services.map(({ name }) => name).toSorted()).toEqual([...withData, "greeter"].toSorted());
  expect(Object.keys(targetsOf(plan)).toSorted()).toEqual([...withData, "greeter"].toSorted());
});

test("stops callers before those they call", async () => {
  const tiers = (await planInnerPrograms(plan)).map((tier) => tier.map(({ name }) => name).toSorted());
  expect(tiers).toEqual([
    ["greeter", "orders"],
    ["cart", "payments"],
    ["catalog", "identity", "inventory"],
    ["payment-gateway"],
  ]);
});

test("gives each process its own secrets and nobody else's", async () => {
  for (const { name, env } of await programs()) {
    const text = JSON.stringify(env);
    for (const owner of withData) expect(text.includes(`password-of-${owner}`)).toBe(name === owner);
    for (const secret of ["key-of-simulator", "secret-of-webhooks"]) {
      expect(text.includes(secret)).toBe(name === "payments" || name === "payment-gateway");
    }
    for (const secret of ["key-of-stripe", "secret-of-stripe"]) expect(text.includes(secret)).toBe(name === "payments");
    expect(text.includes("secret-of-run")).toBe(name !== "payment-gateway");
    expect(text).not.toContain("s3cret");
  }
});

test("passes on nothing of our environment but what every program needs", async () => {
  expect(Object.keys(await environmentOf("greeter")).toSorted()).toEqual([
    "PATH",
    "SHOPMESH_INSTANCE",
    "SHOPMESH_LISTEN",
    "SHOPMESH_LOG_LEVEL",
    "SHOPMESH_RUN",
    "SHOPMESH_SECRET",
    "SHOPMESH_TARGETS",
  ]);
});

test("tells payments where the payment gateway is, and the gateway where all services are", async () => {
  const port = plan.ports.get("payment-gateway");
  expect((await environmentOf("payments")).SHOPMESH_PAYMENT_GATEWAY_URL).toBe(`http://127.0.0.1:${port}`);
  const gateway = await environmentOf("gateway");
  expect(gateway.SHOPMESH_PORT).toBe("8080");
  expect(JSON.parse(gateway.SHOPMESH_TARGETS ?? "")).toEqual(targetsOf(plan));
});

test("tells the payment gateway where webhooks go, and lets it misbehave", async () => {
  const env = { SHOPMESH_SIMULATOR_WEBHOOK_COPIES: "2", SHOPMESH_SIMULATOR_KEY: "of somebody else" };
  expect(await environmentOf("payment-gateway", { ...plan, env })).toMatchObject({
    SHOPMESH_SIMULATOR_WEBHOOK_URL: "http://127.0.0.1:8080/webhooks/simulator",
    SHOPMESH_SIMULATOR_WEBHOOK_COPIES: "2",
    SHOPMESH_SIMULATOR_KEY: "key-of-simulator",
  });
});

test("runs several instances of a service, which every caller knows of", async () => {
  const several = makePlan({ orders: 2 });
  const [tier] = await planInnerPrograms(several);
  expect(tier?.map(({ name }) => name).toSorted()).toEqual(["greeter", "orders-1", "orders-2"]);
  const [first, second] = ["orders-1", "orders-2"].map((name) => several.ports.get(name));
  expect(first).not.toBe(second);
  const targets = JSON.parse((await environmentOf("cart", several)).SHOPMESH_TARGETS ?? "");
  expect(targets).toMatchObject({ orders: [`127.0.0.1:${first}`, `127.0.0.1:${second}`] });
  const env = await environmentOf("orders-2", several);
  expect(env).toMatchObject({ SHOPMESH_LISTEN: `127.0.0.1:${second}`, SHOPMESH_INSTANCE: "orders-2" });
  expect(env.SHOPMESH_DATABASE_URL).toContain("password-of-orders");
  expect((await environmentOf("cart", several)).SHOPMESH_INSTANCE).toBe("cart-1");
});

test("refuses instances of what is no service, and more than PostgreSQL has room for", () => {
  expect(() => makePlan({ order: 2 })).toThrow('there is no service "order" to run several instances of');
  expect(() => makePlan({ orders: 8 })).toThrow("at most 12 processes can share PostgreSQL, not 13");
});

test("lets somebody stand between two programs", async () => {
  const ways: string[] = [];
  const reach: RunPlan["reach"] = async ({ caller, callee, address }) => {
    ways.push(`${caller} ${callee}`);
    return caller === "payments" && ["postgres", "payment-gateway", "cart"].includes(callee) ? "127.0.0.1:9" : address;
  };
  const env = await environmentOf("payments", { ...plan, reach });
  expect(env.SHOPMESH_DATABASE_URL).toBe("postgres://payments:password-of-payments@127.0.0.1:9/db");
  expect(env.SHOPMESH_PAYMENT_GATEWAY_URL).toBe("http://127.0.0.1:9");
  expect(JSON.parse(env.SHOPMESH_TARGETS ?? "")).toEqual({ ...targetsOf(plan), cart: ["127.0.0.1:9"] });
  expect(ways).toContain("gateway orders");
  expect(new Set(ways).size).toBe(ways.length);
});

test("says what is missing, and what to do, where nothing was built", () => {
  expect(() => findServices(pathToFileURL(`${dir}/nowhere/`))).toThrow(
    /main\.js is missing: build first, with npm run build$/,
  );
});
