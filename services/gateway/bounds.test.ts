import { once } from "node:events";
import { constants } from "node:http2";
import { status as codes } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { frame } from "./framing.ts";
import { answerOk, startRawBackend } from "./testing/raw-backend.ts";
import {
  createCleanup,
  errorInfoOf,
  rawCall,
  rawSession,
  rejection,
  startPair,
  startTestGateway,
  toyClient,
  unary,
} from "./testing/setup.ts";
import { floodRequest, startToyBackend, toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

test("ends a call that its backend never ends", async () => {
  const { client, backend } = await startPair(cleanup, { maxCallMs: 500 });
  await unary(client, "echo", Buffer.alloc(0));
  const cancelled = once(backend.events, "cancelled");
  const error = await rejection(unary(client, "hang", Buffer.alloc(0)));
  expect(error.code).toBe(codes.DEADLINE_EXCEEDED);
  expect(errorInfoOf(error)).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
  await cancelled;
});

test("ends a call in which nothing moves, on either side", async () => {
  const { gateway, backend, client } = await startPair(cleanup, { idleCallMs: 300 });
  await unary(client, "echo", Buffer.alloc(0));
  const cancelled = once(backend.events, "cancelled");
  const stream = rawCall(await rawSession(cleanup, gateway.address), { ":path": toy.collect.path });
  stream.write(frame(Buffer.alloc(100)).subarray(0, 20)); // half a message, and never the rest
  const [headers] = await once(stream, "response");
  expect(headers).toMatchObject({ ":status": 200, "grpc-status": String(codes.DEADLINE_EXCEEDED) });
  await cancelled;
});

test("does not wait for ever for a caller who does not read a finished answer", async () => {
  const { gateway } = await startPair(cleanup, { maxCallMs: 1_000, deadlineGraceMs: 50 });
  const session = await rawSession(cleanup, gateway.address);
  const stream = rawCall(session, { ":path": toy.flood.path });
  stream.end(frame(floodRequest(4, 60_000)));
  await once(stream, "response");
  await once(stream, "close");
  expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
});

test("bounds a call by its method's deadline, and a bit", async () => {
  const backend = await startToyBackend();
  cleanup.add(() => backend.kill());
  const contract = { name: "toy.v1.ToyService", owner: "toy", public: true, definition: toy };
  const gateway = await startTestGateway(cleanup, {
    targets: { toy: [backend.address] },
    contracts: [{ ...contract, methods: { hang: { deadlineMs: 30, idempotency: "UNKNOWN" } } }],
    limits: { deadlineGraceMs: 20 },
  });
  const error = await rejection(unary(toyClient(cleanup, gateway.address), "hang", Buffer.alloc(0)));
  expect(error.code).toBe(codes.DEADLINE_EXCEEDED);
});

test.each([
  ["as it came, whatever it says", ["5S", "-1S", "soon", "99999999m", "596H", "35791M", "2147483S"], undefined],
  ["cut to what servers can count", ["597H", "99999999H", "35792M", "2147484S", "123456789S"], "2147483S"],
])("passes grpc-timeout %s", async (_, timeouts, passed) => {
  const backend = await startRawBackend(cleanup, answerOk);
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const session = await rawSession(cleanup, gateway.address);
  for (const timeout of timeouts) {
    const stream = rawCall(session, { "grpc-timeout": timeout });
    stream.end();
    await once(stream, "response");
    stream.resume();
  }
  expect(backend.seen.map((headers) => headers["grpc-timeout"])).toEqual(timeouts.map((timeout) => passed ?? timeout));
});

test("sends backends clean headers: its own authority, no hop's, internal ones of its own only", async () => {
  const backend = await startRawBackend(cleanup, answerOk);
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const stream = rawCall(await rawSession(cleanup, gateway.address), {
    ":authority": "evil.example",
    host: "evil.example",
    "shopmesh-caller": "orders",
    "x-twice": ["a", "b"],
    "content-length": "0",
    constructor: "a header like any other",
  });
  stream.end();
  await once(stream, "response");
  stream.resume();
  const [headers] = backend.seen;
  expect(Object.keys(headers ?? {}).sort()).toEqual([
    ":authority",
    ":method",
    ":path",
    ":scheme",
    "constructor",
    "content-type",
    "shopmesh-client-address",
    "te",
    "traceparent",
    "x-twice",
  ]);
  expect(headers).toMatchObject({ ":authority": "toy", "x-twice": "a, b" });
});
