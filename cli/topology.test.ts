import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findServices, planGateway, planInnerPrograms, privatePrograms, type RunPlan, targetsOf } from "./topology.ts";

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
  const services = findServices(programsDir);
  plan = {
    programsDir,
    services,
    publicPort: 8080,
    ports: new Map(privatePrograms(services).map((name, index) => [name, 20_000 + index])),
    databaseUrls: new Map(withData.map((name) => [name, `postgres://${name}:password-of-${name}@host/db`])),
    secrets: { simulatorKey: "key-of-simulator", databasePasswords: {} },
    runId: "run-1",
    runSecret: "secret-of-run",
    simulatorDataDir: "/data/simulator",
    logLevel: "info",
    env: {
      PATH: "/bin",
      NODE_OPTIONS: "--inspect",
      HOME: "/home/ada",
      SHOPMESH_POSTGRES_URL: "postgres://admin:s3cret@host/db",
    },
  };
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

function addProgram(path: string): void {
  mkdirSync(join(dir, path), { recursive: true });
  writeFileSync(join(dir, path, "main.js"), "");
}

function programs() {
  return [...planInnerPrograms(plan).flat(), ...planGateway(plan).flat()];
}

function environmentOf(name: string): Readonly<Record<string, string>> {
  return programs().find((program) => program.name === name)?.env ?? {};
}

test("runs every service that was built, a new one too", () => {
  expect(plan.services.map(({ name }) => name).toSorted()).toEqual([...withData, "greeter"].toSorted());
  expect(Object.keys(targetsOf(plan)).toSorted()).toEqual([...withData, "greeter"].toSorted());
});

test("stops callers before those they call", () => {
  const tiers = planInnerPrograms(plan).map((tier) => tier.map(({ name }) => name).toSorted());
  expect(tiers).toEqual([
    ["greeter", "orders"],
    ["cart", "payments"],
    ["catalog", "identity", "inventory"],
    ["payment-gateway"],
  ]);
});

test("gives each process its own secrets and nobody else's", () => {
  for (const { name, env } of programs()) {
    const text = JSON.stringify(env);
    for (const owner of withData) expect(text.includes(`password-of-${owner}`)).toBe(name === owner);
    expect(text.includes("key-of-simulator")).toBe(name === "payments" || name === "payment-gateway");
    expect(text.includes("secret-of-run")).toBe(name !== "payment-gateway");
    expect(text).not.toContain("s3cret");
  }
});

test("passes on nothing of our environment but what every program needs", () => {
  expect(Object.keys(environmentOf("greeter")).toSorted()).toEqual([
    "PATH",
    "SHOPMESH_INSTANCE",
    "SHOPMESH_LISTEN",
    "SHOPMESH_LOG_LEVEL",
    "SHOPMESH_RUN",
    "SHOPMESH_SECRET",
    "SHOPMESH_TARGETS",
  ]);
});

test("tells payments where the payment gateway is, and the gateway where all services are", () => {
  const port = plan.ports.get("payment-gateway");
  expect(environmentOf("payments").SHOPMESH_PAYMENT_GATEWAY_URL).toBe(`http://127.0.0.1:${port}`);
  expect(environmentOf("gateway").SHOPMESH_PORT).toBe("8080");
  expect(JSON.parse(environmentOf("gateway").SHOPMESH_TARGETS ?? "")).toEqual(targetsOf(plan));
});

test("says what is missing, and what to do, where nothing was built", () => {
  expect(() => findServices(pathToFileURL(`${dir}/nowhere/`))).toThrow(
    /main\.js is missing: build first, with npm run build$/,
  );
});
