import { type ClientReadableStream, credentials, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import {
  type HealthCheckResponse,
  HealthClient,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "#gen/grpc/health/v1/health.ts";
import { implement } from "#mesh/contract/contract.ts";
import { testCertificates } from "#testing/certificates.ts";
import { startTestMesh } from "#testing/mesh.ts";
import { createHealth, type Health } from "./health.ts";
import { ProbeService, probeDescriptors, probeHandlers } from "./probe.fixture.ts";
import { frame, openSession, rawCall } from "./raw-call.fixture.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function start(health: Health): Promise<{ client: HealthClient; server: Server }> {
  const server = new Server();
  server.addService(health.service.definition, health.service.implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new HealthClient(`127.0.0.1:${port}`, credentials.createInsecure());
  closers.push(() => {
    client.close();
    server.forceShutdown();
  });
  return { client, server };
}

function check(client: HealthClient, service: string): Promise<ServingStatus> {
  return new Promise((resolve, reject) => {
    client.check({ service }, (error, response) => (error === null ? resolve(response.status) : reject(error)));
  });
}

/** The messages of a watch, one at a time; then the status it ended with. */
function watch(client: HealthClient, service: string) {
  const stream: ClientReadableStream<HealthCheckResponse> = client.watch({ service });
  closers.push(() => stream.cancel());
  const ended = new Promise<number>((resolve) => stream.once("error", (error) => resolve(Reflect.get(error, "code"))));
  const messages = stream[Symbol.asyncIterator]();
  return { next: async () => (await messages.next()).value?.status, ended, cancel: () => stream.cancel() };
}

test("checks the whole and each service, NOT_SERVING until set", async () => {
  const health = createHealth(["a.A", "b.B"]);
  const { client } = await start(health);
  expect(await check(client, "")).toBe(ServingStatus.NOT_SERVING);
  health.setServing(true);
  expect(await check(client, "")).toBe(ServingStatus.SERVING);
  health.setServing(false, "b.B");
  expect(await check(client, "a.A")).toBe(ServingStatus.SERVING);
  expect(await check(client, "b.B")).toBe(ServingStatus.NOT_SERVING);
  expect(await check(client, "")).toBe(ServingStatus.SERVING);
});

test("answers NOT_FOUND to a check of an unknown service, even after it was set", async () => {
  const health = createHealth(["a.A"]);
  const { client } = await start(health);
  health.setServing(true, "c.C");
  await expect(check(client, "c.C")).rejects.toMatchObject({ code: status.NOT_FOUND });
});

test("tells a watcher the state at once and at every change, but not when nothing changed", async () => {
  const health = createHealth(["a.A"]);
  const { client } = await start(health);
  const watcher = watch(client, "a.A");
  expect(await watcher.next()).toBe(ServingStatus.NOT_SERVING);
  health.setServing(false);
  health.setServing(true);
  health.setServing(true, "a.A");
  health.setServing(false);
  expect(await watcher.next()).toBe(ServingStatus.SERVING);
  expect(await watcher.next()).toBe(ServingStatus.NOT_SERVING);
});

test("tells a watcher of an unknown service SERVICE_UNKNOWN and keeps the stream", async () => {
  const health = createHealth([]);
  const { client } = await start(health);
  const watcher = watch(client, "c.C");
  expect(await watcher.next()).toBe(ServingStatus.SERVICE_UNKNOWN);
  health.close();
  expect(await watcher.ended).toBe(status.UNAVAILABLE);
});

test("refuses more watchers than its bound, and takes one again after another left", async () => {
  const health = createHealth(["a.A"], { maxWatchers: 1 });
  const { client } = await start(health);
  const first = watch(client, "a.A");
  expect(await first.next()).toBe(ServingStatus.NOT_SERVING);
  expect(await watch(client, "a.A").ended).toBe(status.RESOURCE_EXHAUSTED);
  first.cancel();
  const again = (): Promise<unknown> => watch(client, "a.A").next();
  const outcome = () => again().catch(() => "refused");
  await expect.poll(outcome, { timeout: 10_000 }).toBe(ServingStatus.NOT_SERVING);
});

test("refuses to keep a name that none has, for its length", async () => {
  const { client } = await start(createHealth([]));
  expect(await watch(client, "a".repeat(501)).ended).toBe(status.INVALID_ARGUMENT);
});

test("one workload takes a quarter of the watches, and leaves room for the gateway", async () => {
  const mesh = await startTestMesh(
    { probe: () => [implement(ProbeService, probeHandlers({}))] },
    { descriptors: probeDescriptors },
  );
  const orders = openSession(mesh.address("probe"), await testCertificates("orders"));
  const gateway = openSession(mesh.address("probe"));
  try {
    const begin = (session: typeof orders) => {
      const call = rawCall(session, "/grpc.health.v1.Health/Watch", {});
      call.write(frame(Buffer.alloc(0)));
      call.end();
      return call.answer;
    };
    const refused = await Promise.race(Array.from({ length: 251 }, () => begin(orders)));
    expect(refused.code).toBe(status.RESOURCE_EXHAUSTED);
    const first = begin(gateway);
    // Its refusal would have come before the answer to what was asked later.
    const asked = rawCall(gateway, "/grpc.health.v1.Health/Check", {});
    asked.write(frame(Buffer.alloc(0)));
    asked.end();
    expect((await Promise.race([first, asked.answer])).code).toBe(status.OK);
  } finally {
    orders.destroy();
    gateway.destroy();
    await mesh.close();
  }
});

test("ends watchers when it closes, so that the server can shut down gracefully", async () => {
  const health = createHealth(["a.A"]);
  const { client, server } = await start(health);
  health.setServing(true);
  const watcher = watch(client, "");
  expect(await watcher.next()).toBe(ServingStatus.SERVING);
  health.close();
  expect(await watcher.next()).toBe(ServingStatus.NOT_SERVING);
  expect(await watcher.ended).toBe(status.UNAVAILABLE);
  expect(await watch(client, "").ended).toBe(status.UNAVAILABLE);
  await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
});
