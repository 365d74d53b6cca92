import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { status as codes, credentials } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { contracts } from "#gen/contracts.ts";
import { ErrorInfo } from "#gen/google/rpc/error_details.ts";
import { HealthClient, HealthCheckResponse_ServingStatus as ServingStatus } from "#gen/grpc/health/v1/health.ts";
import { createCleanup, eventually, startTestGateway } from "./testing/setup.ts";
import { startToyBackend, toyContract } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

const run = promisify(execFile);
const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
const curl = ["curl", "--protocol", "grpc", "--http2-prior-knowledge"];

function healthClient(address: string): HealthClient {
  const client = new HealthClient(address, credentials.createInsecure());
  cleanup.add(() => client.close());
  return client;
}

function check(client: HealthClient, service: string): Promise<ServingStatus> {
  return new Promise((resolve, reject) => {
    client.check({ service }, (error, response) => (error === null ? resolve(response.status) : reject(error)));
  });
}

/** Two services with an owner each. */
async function startTwo() {
  const [toys, games] = [await startToyBackend(), await startToyBackend(0, "games")];
  cleanup.add(() => toys.kill());
  cleanup.add(() => games.kill());
  const gateway = await startTestGateway(cleanup, {
    contracts: [toyContract, { ...toyContract, name: "game.v1.GameService", owner: "games" }],
    targets: { toy: [toys.address], games: [games.address] },
    limits: { healthRetryMs: 50 },
  });
  return { toys, games, client: healthClient(gateway.address), gateway };
}

test("tells the health of the whole and of each public service, as the owners tell theirs", async () => {
  const { toys, games, client } = await startTwo();
  await eventually(() => check(client, "")).toBe(ServingStatus.SERVING);
  expect(await check(client, "toy.v1.ToyService")).toBe(ServingStatus.SERVING);
  expect(await check(client, "grpc.health.v1.Health")).toBe(ServingStatus.SERVING);
  games.health.setServing(false);
  await eventually(() => check(client, "game.v1.GameService")).toBe(ServingStatus.NOT_SERVING);
  expect(await check(client, "toy.v1.ToyService")).toBe(ServingStatus.SERVING);
  expect(await check(client, "")).toBe(ServingStatus.NOT_SERVING);
  games.health.setServing(true);
  await eventually(() => check(client, "")).toBe(ServingStatus.SERVING);
  toys.kill();
  await eventually(() => check(client, "toy.v1.ToyService")).toBe(ServingStatus.NOT_SERVING);
  const back = await startToyBackend(toys.port);
  cleanup.add(() => back.kill());
  await eventually(() => check(client, "")).toBe(ServingStatus.SERVING);
});

test("the shop serves without a service that is not needed: its contract may be there first", async () => {
  const toys = await startToyBackend();
  cleanup.add(() => toys.kill());
  const gateway = await startTestGateway(cleanup, {
    contracts: [toyContract, { ...toyContract, name: "game.v1.GameService", owner: "games" }],
    needed: ["toy", "control"],
    targets: { toy: [toys.address] },
    limits: { healthRetryMs: 50 },
  });
  const client = healthClient(gateway.address);
  await eventually(() => check(client, "")).toBe(ServingStatus.SERVING);
  expect(await check(client, "game.v1.GameService")).toBe(ServingStatus.NOT_SERVING);
  toys.health.setServing(false);
  await eventually(() => check(client, "")).toBe(ServingStatus.NOT_SERVING);
});

test("lets callers watch it", async () => {
  const { games, client } = await startTwo();
  await eventually(() => check(client, "")).toBe(ServingStatus.SERVING);
  const stream = client.watch({ service: "" });
  stream.on("error", () => undefined);
  cleanup.add(() => stream.cancel());
  const states = stream[Symbol.asyncIterator]();
  expect((await states.next()).value).toEqual({ status: ServingStatus.SERVING });
  games.health.setServing(false);
  expect((await states.next()).value).toEqual({ status: ServingStatus.NOT_SERVING });
});

test("says NOT_FOUND to a check of what is not public", async () => {
  const { client } = await startTwo();
  await expect(check(client, "hidden.v1.HiddenService")).rejects.toMatchObject({ code: codes.NOT_FOUND });
});

test("is healthy while one instance of each service is", async () => {
  const [first, second] = [await startToyBackend(), await startToyBackend()];
  cleanup.add(() => first.kill());
  cleanup.add(() => second.kill());
  const targets = { toy: [first.address, second.address] };
  const gateway = await startTestGateway(cleanup, { targets, limits: { healthRetryMs: 50 } });
  const client = healthClient(gateway.address);
  await eventually(() => check(client, "")).toBe(ServingStatus.SERVING);
  const stream = client.watch({ service: "" });
  stream.on("error", () => undefined);
  cleanup.add(() => stream.cancel());
  const states = stream[Symbol.asyncIterator]();
  expect((await states.next()).value).toEqual({ status: ServingStatus.SERVING });
  const next = states.next();
  first.kill();
  await eventually(() => gateway.lines.filter(({ message }) => message.includes("closed")).length).toBe(1);
  second.kill();
  expect((await next).value).toEqual({ status: ServingStatus.NOT_SERVING });
});

test("buf curl lists the public services and their methods, and calls one, knowing nothing before", async () => {
  const gateway = await startTestGateway(cleanup, { contracts });
  const url = `http://${gateway.address}`;
  const { stdout: services } = await run(buf, [...curl, "--list-services", url]);
  const open = contracts.filter((contract) => contract.public).map(({ name }) => name);
  expect(services.trim().split("\n")).toEqual(
    [
      ...open,
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ].sort(),
  );
  const { stdout: methods } = await run(buf, [...curl, "--list-methods", url]);
  expect(methods).toContain("shop.catalog.v1.CatalogService/GetProduct");
  const { stdout: health } = await run(buf, [...curl, "-d", "{}", `${url}/grpc.health.v1.Health/Check`]);
  expect(JSON.parse(health)).toEqual({ status: "NOT_SERVING" });
});

test("a person who calls a service that is down reads which, why and what to do", async () => {
  const gateway = await startTestGateway(cleanup, { contracts, targets: { catalog: ["127.0.0.1:1"] } });
  const url = `http://${gateway.address}/shop.catalog.v1.CatalogService/ListCategories`;
  const failed = await run(buf, [...curl, "-d", "{}", url]).catch((error: unknown) => error);
  const text: unknown = failed instanceof Error ? Reflect.get(failed, "stderr") : undefined;
  const error: { code: string; details: { type: string; value: string }[] } = JSON.parse(String(text));
  expect(error).toMatchObject({ code: "unavailable", details: [{ type: "google.rpc.ErrorInfo" }] });
  expect(ErrorInfo.decode(Buffer.from(error.details[0]?.value ?? "", "base64"))).toEqual({
    reason: "SERVICE_UNAVAILABLE",
    domain: "shop.catalog.v1.CatalogService",
    metadata: { service: "shop.catalog.v1.CatalogService" },
  });
});
