import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "#mesh/clock.ts";
import { verifyJoinToken } from "#mesh/identity/join-token.ts";
import { type Environment, environmentOf, operatorsMail } from "./environment.ts";
import { createPlaces } from "./places.ts";
import { directly, type RunPlan, rememberWays } from "./run-plan.ts";
import { type BuiltFolder, builtFolder, servicesWithData } from "./testing/built-folder.ts";
import { findKinds, type Instances, type Kind } from "./topology.ts";

const joinSecret = "5e".repeat(32);

let built: BuiltFolder;
let kinds: readonly Kind[];
let plan: RunPlan;

beforeAll(async () => {
  built = builtFolder();
  kinds = findKinds(built.programsDir);
  plan = await makePlan();
});

afterAll(() => built.remove());

async function makePlan(instances: Instances = {}, given: Partial<RunPlan> = {}): Promise<RunPlan> {
  const places = createPlaces(8080);
  await places.take(kinds.flatMap((kind) => Array.from({ length: instances[kind.name] ?? 1 }, () => kind)));
  return {
    places,
    publicPort: 8080,
    joinAddress: "127.0.0.1:7001",
    controlDir: "/data/control",
    databaseUrl: (name) =>
      servicesWithData.includes(name) ? `postgres://${name}:password-of-${name}@host:5432/db` : undefined,
    reach: directly,
    secrets: {
      simulatorKey: "key-of-simulator",
      webhookSecret: "secret-of-webhooks",
      joinSecret,
      databasePasswords: {},
    },
    runId: "run-1",
    simulatorDir: "/data/simulator",
    mailDir: "/data/mail",
    logLevel: "info",
    clock: systemClock,
    env: {
      PATH: "/bin",
      NODE_OPTIONS: "--inspect",
      HOME: "/home/ada",
      SHOPMESH_POSTGRES_URL: "postgres://admin:s3cret@host/db",
      SHOPMESH_STRIPE_KEY: "key-of-stripe",
      SHOPMESH_STRIPE_WEBHOOK_SECRET: "secret-of-stripe",
    },
    ...given,
  };
}

async function environments(
  of: RunPlan = plan,
): Promise<readonly { readonly name: string; readonly env: Environment }[]> {
  const makeOne = async (place: Parameters<typeof environmentOf>[0]) => ({
    name: place.name,
    env: await environmentOf(place, "v1", of),
  });
  return Promise.all(of.places.all().map(makeOne));
}

async function environment(name: string, of: RunPlan = plan): Promise<Environment> {
  return (await environments(of)).find((one) => one.name === name)?.env ?? {};
}

function portOf(name: string, of: RunPlan = plan): number | undefined {
  return of.places.all().find((place) => place.name === name)?.port;
}

test("gives each process its own secrets and nobody else's", async () => {
  for (const { name, env } of await environments()) {
    const text = JSON.stringify(env);
    for (const owner of servicesWithData) expect(text.includes(`password-of-${owner}`)).toBe(name === `${owner}-1`);
    for (const secret of ["key-of-simulator", "secret-of-webhooks"]) {
      expect(text.includes(secret)).toBe(name === "payments-1" || name === "payment-gateway");
    }
    for (const secret of ["key-of-stripe", "secret-of-stripe"]) {
      expect(text.includes(secret)).toBe(name === "payments-1");
    }
    expect(text.includes(joinSecret)).toBe(name === "control");
    expect(text).not.toContain("s3cret");
  }
});

test("passes on nothing of our environment but what every program needs", async () => {
  expect(Object.keys(await environment("greeter-1")).toSorted()).toEqual([
    "PATH",
    "SHOPMESH_CONTROL",
    "SHOPMESH_INSTANCE",
    "SHOPMESH_JOIN",
    "SHOPMESH_JOIN_TOKEN",
    "SHOPMESH_LISTEN",
    "SHOPMESH_LOG_LEVEL",
    "SHOPMESH_RUN",
    "SHOPMESH_TARGETS",
    "SHOPMESH_TRUST_FILE",
    "SHOPMESH_VERSION",
  ]);
});

test("gives each start of a process a token to join with, for its own service alone", async () => {
  const verify = async () => {
    const { SHOPMESH_JOIN_TOKEN: token = "" } = await environment("cart-1");
    const claims = await verifyJoinToken(joinSecret, token, new Date());
    return claims.ok ? claims.value : expect.fail(claims.error);
  };
  const [first, second] = [await verify(), await verify()];
  expect(first.service).toBe("cart");
  expect(second.service).toBe("cart");
  expect(first.id).not.toBe(second.id);
});

test("tells everybody where control is, and control where to listen and what to keep", async () => {
  const address = `127.0.0.1:${portOf("control")}`;
  expect(await environment("gateway-1")).toMatchObject({
    SHOPMESH_CONTROL: address,
    SHOPMESH_JOIN: "127.0.0.1:7001",
    SHOPMESH_TRUST_FILE: "/data/control/trust.pem",
  });
  const control = await environment("control");
  expect(control).toMatchObject({
    SHOPMESH_LISTEN: address,
    SHOPMESH_JOIN_LISTEN: "127.0.0.1:7001",
    SHOPMESH_CONTROL_DATA: "/data/control",
  });
  expect(control).not.toHaveProperty("SHOPMESH_JOIN_TOKEN");
});

test("tells payments where the payment gateway is, and nobody where services are: control knows", async () => {
  const payments = await environment("payments-1");
  expect(payments.SHOPMESH_PAYMENT_GATEWAY_URL).toBe(`http://127.0.0.1:${portOf("payment-gateway")}`);
  const gateway = await environment("gateway-1");
  expect(gateway).toMatchObject({ SHOPMESH_PORT: "8080", SHOPMESH_PUBLIC_SOCKET: "handed" });
  expect(gateway.SHOPMESH_TARGETS).toBe("{}");
  expect(gateway.SHOPMESH_SERVICES?.split(",")).toEqual(expect.arrayContaining(["orders", "payments"]));
  expect(gateway.SHOPMESH_SERVICES).not.toContain("payment-gateway");
});

test("tells the payment gateway where webhooks go, and lets it misbehave", async () => {
  const env = { SHOPMESH_SIMULATOR_WEBHOOK_COPIES: "2", SHOPMESH_SIMULATOR_KEY: "of somebody else" };
  expect(await environment("payment-gateway", { ...plan, env })).toMatchObject({
    SHOPMESH_SIMULATOR_WEBHOOK_URL: "http://127.0.0.1:8080/webhooks/simulator",
    SHOPMESH_SIMULATOR_WEBHOOK_COPIES: "2",
    SHOPMESH_SIMULATOR_KEY: "key-of-simulator",
  });
});

test("tells notifications where the mailbox is, and the mailbox what to keep", async () => {
  const notifications = await environment("notifications-1");
  expect(notifications).toMatchObject({
    SHOPMESH_SMTP_URL: `smtp://127.0.0.1:${portOf("mailbox")}`,
    SHOPMESH_MAIL_DIR: "/data/mail",
    SHOPMESH_MAIL_FROM: "Shopmesh <orders@shopmesh.localhost>",
  });
  expect(await environment("mailbox")).toEqual({
    PATH: "/bin",
    SHOPMESH_LOG_LEVEL: "info",
    SHOPMESH_RUN: "run-1",
    SHOPMESH_MAILBOX_PORT: String(portOf("mailbox")),
    SHOPMESH_MAIL_DIR: "/data/mail",
  });
});

test("leaves mails to a mail server of the operator's, who then has to say who writes them", async () => {
  const env = { SHOPMESH_SMTP_URL: "smtp://shop:s3cret@mail.example:587", SHOPMESH_MAIL_FROM: "orders@shop.example" };
  const notifications = await environment("notifications-1", { ...plan, env });
  expect(notifications).toMatchObject(env);
  expect(notifications).not.toHaveProperty("SHOPMESH_MAIL_DIR");
  expect(() => operatorsMail({ SHOPMESH_SMTP_URL: env.SHOPMESH_SMTP_URL })).toThrow(
    /^SHOPMESH_SMTP_URL wants SHOPMESH_MAIL_FROM/,
  );
});

test("lets parcels move along by themselves, unless told otherwise", async () => {
  expect(await environment("shipping-1")).toMatchObject({ SHOPMESH_COURIER: "simulated" });
  const env = { SHOPMESH_COURIER: "off" };
  expect(await environment("shipping-1", { ...plan, env })).toMatchObject({ SHOPMESH_COURIER: "off" });
  expect(await environment("cart-1", { ...plan, env })).not.toHaveProperty("SHOPMESH_COURIER");
});

test("runs several instances of a service", async () => {
  const several = await makePlan({ orders: 2 });
  const [first, second] = ["orders-1", "orders-2"].map((name) => portOf(name, several));
  expect(first).not.toBe(second);
  const env = await environment("orders-2", several);
  expect(env).toMatchObject({ SHOPMESH_LISTEN: `127.0.0.1:${second}`, SHOPMESH_INSTANCE: "orders-2" });
  expect(env.SHOPMESH_DATABASE_URL).toContain("password-of-orders");
});

test("lets somebody stand between two programs, and asks once for each way", async () => {
  const ways: string[] = [];
  const reach = rememberWays(async ({ caller, callee, address }) => {
    ways.push(`${caller} ${callee}`);
    const between = caller === "payments-1" && ["postgres", "payment-gateway", "cart-1"].includes(callee);
    return between ? "127.0.0.1:9" : address;
  });
  const env = await environment("payments-1", { ...plan, reach });
  await environment("payments-1", { ...plan, reach });
  expect(env.SHOPMESH_DATABASE_URL).toBe("postgres://payments:password-of-payments@127.0.0.1:9/db");
  expect(env.SHOPMESH_PAYMENT_GATEWAY_URL).toBe("http://127.0.0.1:9");
  expect(JSON.parse(env.SHOPMESH_TARGETS ?? "")).toEqual({ cart: ["127.0.0.1:9"] });
  expect(ways).toContain("gateway-1 orders-1");
  expect(new Set(ways).size).toBe(ways.length);
});
