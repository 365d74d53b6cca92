import { Metadata, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { createCertificateHolder } from "#mesh/identity/certificates.ts";
import { sharedCeiling } from "#mesh/rpc/admission.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { LISTENER_LIMITS, MAX_STREAMS_PER_USER } from "#mesh/rpc/limits.ts";
import { testCertificates } from "#testing/certificates.ts";
import { WorkloadChannelCredentials } from "./credentials.ts";
import { type ProbeMesh, ProbeService, probeRequest, probeResponse, startProbe } from "./probe.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A probe whose streams say that they are open, and stay so until their caller leaves. */
async function start(): Promise<ProbeMesh> {
  const mesh = await startProbe({
    async *watch(_request, call) {
      yield probeResponse({ text: "open" });
      await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
    },
  });
  cleanUps.push(() => mesh.close());
  return mesh;
}

/** Opens a stream; what became of it, and what ends it. */
async function open(mesh: ProbeMesh, call: Call) {
  const stream = mesh.probe.watch(probeRequest(), call)[Symbol.asyncIterator]();
  const first = await stream.next().catch((error: unknown) => error);
  return { first, close: () => stream.return?.(undefined) };
}

const isOpen = { value: { text: "open" } };
const overloaded = { code: "RESOURCE_EXHAUSTED", reason: "OVERLOADED", retryDelayMs: expect.any(Number) };

test("one user's streams leave room for everybody else's, and for that user's other calls", async () => {
  const mesh = await start();
  const greedy = () => mesh.call({ user: { id: "usr_greedy", kind: "guest" } });
  const mine = await Promise.all(Array.from({ length: MAX_STREAMS_PER_USER }, () => open(mesh, greedy())));
  for (const { first } of mine) expect(first).toMatchObject(isOpen);
  expect((await open(mesh, greedy())).first).toMatchObject(overloaded);
  expect((await open(mesh, mesh.call({ user: { id: "usr_other" } }))).first).toMatchObject(isOpen);
  expect((await open(mesh, mesh.call())).first).toMatchObject(isOpen);
  expect(await mesh.probe.read(probeRequest(), greedy())).toMatchObject({ text: "probe" });
  await mine[0]?.close();
  await expect.poll(async () => (await open(mesh, greedy())).first).toMatchObject(isOpen);
});

test("without a user an address has a share, as the gateway names it and nobody else", async () => {
  const mesh = await start();
  const Client = makeClientConstructor({ watch: ProbeService.definition.watch }, "Probe");
  const clientOf = async (workload: string): Promise<InstanceType<typeof Client>> => {
    const source = createCertificateHolder(await testCertificates(workload));
    const client = new Client(mesh.address("probe"), new WorkloadChannelCredentials(source, "probe"));
    cleanUps.push(() => client.close());
    return client;
  };
  const clients = { gateway: await clientOf("gateway"), orders: await clientOf("orders") };
  const watch = (workload: keyof typeof clients, address: string): Promise<unknown> => {
    const metadata = new Metadata();
    metadata.set("shopmesh-client-address", address);
    const { path, requestSerialize, responseDeserialize } = ProbeService.definition.watch;
    const stream = clients[workload].makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      probeRequest(),
      metadata,
    );
    return new Promise((resolve) => {
      stream.once("data", () => resolve("open"));
      stream.once("error", ({ code }: ServiceError) => resolve(code));
    });
  };
  const fill = (workload: keyof typeof clients) =>
    Promise.all(Array.from({ length: LISTENER_LIMITS.streamsPerClient }, () => watch(workload, "192.0.2.1")));
  expect(new Set(await fill("gateway"))).toEqual(new Set(["open"]));
  expect(await watch("gateway", "192.0.2.1")).toBe(8);
  expect(await watch("gateway", "192.0.2.2")).toBe("open");
  expect(new Set(await fill("orders"))).toEqual(new Set(["open"]));
  expect(await watch("orders", "192.0.2.2")).toBe(8);
});

test("a share is given back as it was taken, and no share makes more room than there is", () => {
  const places = sharedCeiling(3);
  const [a, b] = [places.of({ key: "a", share: 2 }), places.of({ key: "b", share: 2 })];
  expect([a.tryEnter(), a.tryEnter(), a.tryEnter()]).toEqual([true, true, false]);
  expect([b.tryEnter(), b.tryEnter()]).toEqual([true, false]);
  a.leave();
  expect([b.tryEnter(), a.tryEnter()]).toEqual([true, false]);
  b.leave();
  expect([a.tryEnter(), a.tryEnter()]).toEqual([true, false]);
});
