import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { constants } from "node:http2";
import { createServer } from "node:net";
import { status as codes } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { plainCluster } from "#mesh/discovery/endpoints.ts";
import { movingEndpoints } from "#mesh/discovery/moving-endpoints.fixture.ts";
import { frame } from "./framing.ts";
import { answerOk, type RawBackend, startFrameBackend, startRawBackend } from "./testing/raw-backend.ts";
import {
  createCleanup,
  errorInfoOf,
  eventually,
  rejection,
  startPair,
  startTestGateway,
  toyClient,
  unary,
} from "./testing/setup.ts";
import { startToyBackend, toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

const UNAVAILABLE = { reason: "SERVICE_UNAVAILABLE", domain: "toy.v1.ToyService" };

test("says at once which service is down when nothing listens", async () => {
  const gone = await startToyBackend();
  gone.kill();
  const limits = { connectTimeoutMs: 15_000 };
  const gateway = await startTestGateway(cleanup, { targets: { toy: [gone.address] }, limits });
  const client = toyClient(cleanup, gateway.address);
  const startedAt = performance.now();
  const error = await rejection(unary(client, "echo", Buffer.alloc(0)));
  expect(error.code).toBe(codes.UNAVAILABLE);
  expect(errorInfoOf(error)).toMatchObject({ ...UNAVAILABLE, metadata: { service: "toy.v1.ToyService" } });
  expect(performance.now() - startedAt).toBeLessThan(5_000);
});

test("says so too when no instance is known", async () => {
  const gateway = await startTestGateway(cleanup, {});
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(0)));
  expect(error.code).toBe(codes.UNAVAILABLE);
  expect(errorInfoOf(error)).toMatchObject(UNAVAILABLE);
});

test.each(["a b", "a:b", "[", "%zz"])("outlives an instance at %j, which is no host", async (host) => {
  const endpoints = movingEndpoints(plainCluster([{ host, port: 1 }]));
  const gateway = await startTestGateway(cleanup, { endpoints });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(0)));
  expect(errorInfoOf(error)).toMatchObject(UNAVAILABLE);
  await lookedUp(host);
});

/** Resolves when a look-up that began before has failed, too; what nobody hears of has ended the process by then. */
async function lookedUp(host: string): Promise<void> {
  await expect(lookup(host)).rejects.toThrow();
  await new Promise((resolve) => setImmediate(resolve));
}

test("gives up on an address that takes connections and says nothing", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  cleanup.add(() => silent.close());
  const address = silent.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const limits = { connectTimeoutMs: 100 };
  const gateway = await startTestGateway(cleanup, { targets: { toy: [`127.0.0.1:${port}`] }, limits });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(0)));
  expect(error.code).toBe(codes.UNAVAILABLE);
});

test("fails the running calls of a killed backend, and works again when it is back", async () => {
  const { backend, client } = await startPair(cleanup);
  const arrived = once(backend.events, "call");
  const running = rejection(unary(client, "hang", Buffer.alloc(0)));
  await arrived;
  backend.kill();
  const error = await running;
  expect(error.code).toBe(codes.UNAVAILABLE);
  expect(errorInfoOf(error)).toMatchObject(UNAVAILABLE);
  expect((await rejection(unary(client, "echo", Buffer.alloc(0)))).code).toBe(codes.UNAVAILABLE);
  const back = await startToyBackend(backend.port);
  cleanup.add(() => back.kill());
  const answer = () => unary(client, "echo", Buffer.from("again")).then(({ bytes }) => bytes.toString());
  await eventually(() => answer().catch(() => "down")).toBe("again");
});

test("ends a half-sent answer with a failure in its trailers", async () => {
  const { backend, client } = await startPair(cleanup);
  const { path, requestSerialize, responseDeserialize } = toy.chat;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const failed = once(call, "error");
  call.write(Buffer.from("hello"));
  await once(call, "data");
  backend.kill();
  expect((await failed)[0]).toMatchObject({ code: codes.UNAVAILABLE });
});

test("lets a draining backend finish its calls, and sends new ones to the other instance", async () => {
  const [first, second] = [await startToyBackend(), await startToyBackend()];
  cleanup.add(() => first.kill());
  cleanup.add(() => second.kill());
  const gateway = await startTestGateway(cleanup, { targets: { toy: [first.address, second.address] } });
  const client = toyClient(cleanup, gateway.address);
  const { path, requestSerialize, responseDeserialize } = toy.chat;
  const calls = Array.from({ length: 4 }, () =>
    client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize),
  );
  for (const call of calls) {
    call.write(Buffer.from("before"));
    await once(call, "data");
  }
  expect([first.seen.length, second.seen.length].sort()).not.toContain(0);
  const drained = first.drain();
  const answers = await Promise.all(Array.from({ length: 200 }, () => unary(client, "echo", Buffer.from("x"))));
  expect(answers).toHaveLength(200);
  for (const call of calls) {
    call.write(Buffer.from("after"));
    expect(String((await once(call, "data"))[0])).toBe("after");
    const status = once(call, "status");
    call.end();
    expect((await status)[0]).toMatchObject({ code: codes.OK });
  }
  await drained;
});

test("loses no call while instances are replaced under load", async () => {
  const first = await startToyBackend();
  const endpoints = movingEndpoints(plainCluster([{ host: "127.0.0.1", port: first.port }]));
  const gateway = await startTestGateway(cleanup, { endpoints });
  const client = toyClient(cleanup, gateway.address);
  let running = true;
  let answered = 0;
  const load = Array.from({ length: 32 }, async () => {
    while (running) {
      await unary(client, "echo", Buffer.alloc(100));
      answered += 1;
    }
  });
  let current = first;
  for (let i = 0; i < 3; i++) {
    const before = answered;
    await eventually(() => answered).toBeGreaterThan(before + 100);
    const next = await startToyBackend();
    endpoints.set(plainCluster([{ host: "127.0.0.1", port: next.port }]));
    await eventually(() => next.seen.length).toBeGreaterThan(0);
    await current.drain();
    current = next;
  }
  running = false;
  await Promise.all(load);
  current.kill();
});

test("takes turns among the instances", async () => {
  const backends = [await startToyBackend(), await startToyBackend(), await startToyBackend()];
  for (const backend of backends) cleanup.add(() => backend.kill());
  const targets = { toy: backends.map(({ address }) => address) };
  const gateway = await startTestGateway(cleanup, { targets });
  const client = toyClient(cleanup, gateway.address);
  // The health watch connects all of them.
  await eventually(() => gateway.lines.filter(({ message }) => message === "backend connected").length).toBe(
    backends.length,
  );
  for (let i = 0; i < 30; i++) await unary(client, "echo", Buffer.alloc(0));
  expect(backends.map(({ seen }) => seen.length)).toEqual([10, 10, 10]);
});

test("sends a refused call once more, with the request it had read already", async () => {
  const bodies: Buffer[] = [];
  let refusals = 1;
  const backend = await startRawBackend(cleanup, (stream) => {
    if (refusals > 0) {
      refusals -= 1;
      stream.once("data", () => stream.close(constants.NGHTTP2_REFUSED_STREAM));
      return;
    }
    stream.on("data", (chunk: Buffer) => bodies.push(chunk));
    stream.once("end", () => answerOk(stream));
  });
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const body = Buffer.from("the request");
  await unary(toyClient(cleanup, gateway.address), "echo", body);
  expect(Buffer.concat(bodies)).toEqual(frame(body));
  expect(backend.seen).toHaveLength(2);
});

test("tries a call that is refused again and again three times at most", async () => {
  const backend = await startRawBackend(cleanup, (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM));
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(10)));
  expect(error.code).toBe(codes.UNAVAILABLE);
  expect(backend.seen).toHaveLength(3);
});

test.each([
  ["closes", ({ sessions }: RawBackend) => [...sessions].map((session) => session.destroy())],
  ["resets", ({ sockets }: RawBackend) => [...sockets].map((socket) => socket.resetAndDestroy())],
])("does not send a call again that may have been seen when its backend %s the connection", async (_, cut) => {
  const backend: RawBackend = await startRawBackend(cleanup, () => cut(backend));
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(10)));
  expect(error.code).toBe(codes.UNAVAILABLE);
  expect(backend.seen).toHaveLength(1);
});

test("passes a reset by a backend on as a reset", async () => {
  const backend = await startRawBackend(cleanup, (stream) => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM));
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(10)));
  expect(error.code).toBe(codes.RESOURCE_EXHAUSTED);
});

test("says INTERNAL when a backend's answer has no status", async () => {
  const backend = await startRawBackend(cleanup, (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.end(Buffer.alloc(5));
  });
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(10)));
  expect(error.code).toBe(codes.INTERNAL);
  expect(errorInfoOf(error)).toMatchObject({ reason: "INTERNAL" });
});

test("survives a backend whose answer is no HTTP", async () => {
  // HPACK: a literal for the indexed name `:status`, its three digits.
  const address = await startFrameBackend(cleanup, Buffer.from("\x08\x03999", "latin1"));
  const gateway = await startTestGateway(cleanup, { targets: { toy: [address] } });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(10)));
  expect(error.code).toBe(codes.INTERNAL);
  expect(errorInfoOf(error)).toMatchObject({ reason: "INTERNAL" });
});

test("opens further connections when a backend's bound on streams is reached, then sheds", async () => {
  const backend = await startRawBackend(cleanup, () => undefined, { maxConcurrentStreams: 3 });
  const limits = { sessionsPerAddress: 2 };
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] }, limits });
  const client = toyClient(cleanup, gateway.address);
  // One of the six places is taken by the health watch.
  const calls = Array.from({ length: 5 }, () => unary(client, "hang", Buffer.alloc(0)));
  for (const call of calls) call.catch(() => undefined);
  await eventually(() => backend.seen.length).toBe(5);
  expect(backend.sessions.size).toBe(2);
  const error = await rejection(unary(client, "hang", Buffer.alloc(0)));
  expect(error.code).toBe(codes.RESOURCE_EXHAUSTED);
  expect(errorInfoOf(error)).toMatchObject({ reason: "OVERLOADED" });
  for (const { call } of calls) call.cancel();
});

test("opens as many connections as calls that come at once need, and gives none more than its share", async () => {
  const taken = new Map<unknown, number>();
  const backend = await startRawBackend(cleanup, ({ session }) => taken.set(session, (taken.get(session) ?? 0) + 1));
  const limits = { sessionsPerAddress: 6, callsAtOncePerSession: 5 };
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] }, limits });
  const client = toyClient(cleanup, gateway.address);
  // One of the thirty places is taken by the health watch. Those who wait for the same connection see it open at once.
  const calls = Array.from({ length: 29 }, () => unary(client, "hang", Buffer.alloc(0)));
  for (const call of calls) call.catch(() => undefined);
  await eventually(() => backend.seen.length).toBe(29);
  expect([...taken.values()].sort()).toEqual([4, 5, 5, 5, 5, 5]);
  for (const { call } of calls) call.cancel();
});

test("replaces a connection that has carried its share of calls", async () => {
  const backend = await startRawBackend(cleanup, answerOk);
  const limits = { callsPerSession: 5 };
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] }, limits });
  const client = toyClient(cleanup, gateway.address);
  for (let i = 0; i < 20; i++) await unary(client, "echo", Buffer.alloc(0));
  const connected = gateway.lines.filter(({ message }) => message === "backend connected");
  expect(connected.length).toBeGreaterThanOrEqual(4);
});
