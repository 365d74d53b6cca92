import { once } from "node:events";
import { status as codes, Metadata } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { frame } from "./framing.ts";
import {
  createCleanup,
  errorInfoOf,
  eventually,
  rawCall,
  rawSession,
  rejection,
  startPair,
  toyClient,
  unary,
} from "./testing/setup.ts";
import { failure, floodRequest, toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

/** Whether a number that was above zero is the same as at the last look. */
function stopsGrowing(read: () => number): () => boolean {
  let before = 0;
  return () => {
    const now = read();
    const same = now > 0 && now === before;
    before = now;
    return same;
  };
}

test("passes a unary call with metadata, trailers and binary values byte for byte", async () => {
  const { client } = await startPair(cleanup);
  const metadata = new Metadata();
  metadata.add("x-text", "one");
  metadata.add("x-text", "two, three");
  metadata.add("x-raw-bin", failure.bytes);
  metadata.add("x-raw-bin", Buffer.from([128, 0]));
  const bytes = Buffer.from([0, 255, 10, 0, 1]);
  const answer = await unary(client, "echo", bytes, metadata);
  expect(answer.bytes).toEqual(bytes);
  expect(answer.headers.get("x-text").join(", ")).toBe("one, two, three");
  expect(answer.headers.get("x-raw-bin")).toEqual([failure.bytes, Buffer.from([128, 0])]);
  expect(answer.trailers.get("x-end-bin")).toEqual([failure.bytes]);
});

test("passes a failure with its message, its details and repeated trailers", async () => {
  const { client } = await startPair(cleanup);
  const error = await rejection(unary(client, "fail", Buffer.alloc(1)));
  expect(error.code).toBe(failure.code);
  expect(error.details).toBe(failure.details);
  expect(error.metadata.get("grpc-status-details-bin")).toEqual([failure.bytes]);
  expect(error.metadata.get("x-note").join(", ")).toBe("one, two");
});

test("strips forged internal metadata from callers and internal metadata from answers", async () => {
  const { client, backend } = await startPair(cleanup);
  const metadata = new Metadata();
  metadata.set("shopmesh-caller", "orders");
  metadata.set("shopmesh-anything", "x");
  metadata.set("shopmesh-client-address", "10.0.0.1");
  const answer = await unary(client, "echo", Buffer.alloc(0), metadata);
  const [seen] = backend.seen;
  expect(seen?.get("shopmesh-caller")).toEqual([]);
  expect(seen?.get("shopmesh-client-address")).toEqual(["127.0.0.1"]);
  expect(seen?.get("shopmesh-anything")).toEqual([]);
  expect(answer.headers.get("shopmesh-secret")).toEqual([]);
  expect(answer.trailers.get("shopmesh-secret")).toEqual([]);
});

test("begins a trace when the caller has none, and leaves a caller's alone", async () => {
  const { client, backend } = await startPair(cleanup);
  const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const metadata = new Metadata();
  metadata.set("traceparent", given);
  await unary(client, "echo", Buffer.alloc(0), metadata);
  await unary(client, "echo", Buffer.alloc(0));
  expect(backend.seen[0]?.get("traceparent")).toEqual([given]);
  expect(backend.seen[1]?.get("traceparent")).toEqual([expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)]);
});

test("passes a deadline, a malformed one too, and the authorization as they are", async () => {
  const { client, backend, gateway } = await startPair(cleanup);
  const metadata = new Metadata();
  metadata.set("authorization", "Bearer a.b.c");
  const call = unary(client, "echo", Buffer.alloc(0), metadata);
  await call;
  expect(backend.seen[0]?.get("authorization")).toEqual(["Bearer a.b.c"]);
  expect(gateway.lines.some((line) => JSON.stringify(line).includes("a.b.c"))).toBe(false);
});

test("passes a client stream and its half-close", async () => {
  const { client } = await startPair(cleanup);
  const answer = new Promise<Buffer | undefined>((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = toy.collect;
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(1_000, i));
    call.end();
  });
  const expected = Buffer.concat(Array.from({ length: 100 }, (_, i) => Buffer.alloc(1_000, i)));
  expect((await answer)?.equals(expected)).toBe(true);
});

test("passes an answer that comes before the client has finished sending", async () => {
  const { client, gateway } = await startPair(cleanup);
  const error = await new Promise<unknown>((resolve) => {
    const { path, requestSerialize, responseDeserialize } = toy.refuse;
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (failed) =>
      resolve(failed),
    );
    call.on("error", () => undefined);
    call.write(Buffer.alloc(10));
  });
  expect(error).toMatchObject({ code: codes.ABORTED, details: "heard enough" });
  await eventually(() => gateway.lines.filter(({ message }) => message === "call").length).toBe(1);
});

test("passes a server stream to its end", async () => {
  const { client } = await startPair(cleanup);
  const { path, requestSerialize, responseDeserialize } = toy.flood;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, floodRequest(50, 2_000));
  let bytes = 0;
  for await (const chunk of call) bytes += chunk.length;
  expect(bytes).toBe(100_000);
});

test("passes both directions of a conversation as they come", async () => {
  const { client } = await startPair(cleanup);
  const { path, requestSerialize, responseDeserialize } = toy.chat;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  for (const word of ["one", "two", "three"]) {
    call.write(Buffer.from(word));
    const [answer] = await once(call, "data");
    expect(String(answer)).toBe(word);
  }
  const ended = once(call, "end");
  const status = once(call, "status");
  call.end();
  await ended;
  expect((await status)[0]).toMatchObject({ code: codes.OK });
});

test("passes messages of many megabytes both ways", async () => {
  const { client } = await startPair(cleanup);
  const bytes = Buffer.alloc(32 * 1024 * 1024, "0123456789abcdef");
  const answer = await unary(client, "echo", bytes);
  expect(answer.bytes.equals(bytes)).toBe(true);
});

test("carries a caller's cancellation to the backend", async () => {
  const { client, backend, gateway } = await startPair(cleanup);
  const arrived = once(backend.events, "call");
  const cancelled = once(backend.events, "cancelled");
  const call = unary(client, "hang", Buffer.alloc(0));
  const error = rejection(call);
  await arrived;
  call.call.cancel();
  expect(await cancelled).toEqual(["hang"]);
  expect((await error).code).toBe(codes.CANCELLED);
  await eventually(() => gateway.lines.find(({ message }) => message === "call")).toMatchObject({ code: "CANCELLED" });
});

test("carries the end of a caller's connection to the backend, and never as the end of a request", async () => {
  const { backend, gateway } = await startPair(cleanup);
  const client = toyClient(cleanup, gateway.address);
  const { path, requestSerialize, responseDeserialize } = toy.collect;
  const arrived = once(backend.events, "call");
  const cancelled = once(backend.events, "cancelled");
  const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, () => undefined);
  call.on("error", () => undefined);
  call.write(Buffer.alloc(10));
  await arrived;
  client.close();
  call.cancel();
  expect(await cancelled).toEqual(["collect"]);
});

test("holds a backend back while its reader is slow, and loses nothing", async () => {
  const { gateway, backend } = await startPair(cleanup);
  const count = 1_024;
  const size = 64 * 1_024;
  // Without a gRPC library: those read ahead of whoever reads them.
  const stream = rawCall(await rawSession(cleanup, gateway.address), { ":path": toy.flood.path });
  stream.end(frame(floodRequest(count, size)));
  await once(stream, "response");
  // Without backpressure all 64 MiB would come; with it, the flow stops by itself.
  await eventually(stopsGrowing(backend.floodedBytes), 200).toBe(true);
  // The windows of both connections, and what grpc-js and the kernel take before they hold back.
  expect(backend.floodedBytes()).toBeLessThan(2 * 1_024 * 1_024);
  let bytes = 0;
  const trailers = once(stream, "trailers");
  for await (const chunk of stream) bytes += chunk.length;
  expect(bytes).toBe(count * (size + 5));
  expect((await trailers)[0]).toMatchObject({ "grpc-status": "0" });
});

test("holds a caller back while the backend does not read", async () => {
  const { gateway } = await startPair(cleanup);
  const stream = rawCall(await rawSession(cleanup, gateway.address), { ":path": toy.ignore.path });
  const total = 64 * 1_024 * 1_024;
  const message = frame(Buffer.alloc(64 * 1_024));
  let sent = 0;
  const pump = (): void => {
    while (sent < total) {
      sent += message.length;
      if (stream.write(message)) continue;
      stream.once("drain", pump);
      return;
    }
  };
  pump();
  await eventually(
    stopsGrowing(() => sent),
    200,
  ).toBe(true);
  expect(sent).toBeLessThan(4 * 1_024 * 1_024);
});

test("carries a thousand calls at a time over one connection", async () => {
  const { client, gateway } = await startPair(cleanup);
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => unary(client, "echo", Buffer.from(`call ${i}`))),
  );
  expect(answers.every(({ bytes }, i) => bytes.toString() === `call ${i}`)).toBe(true);
  await eventually(() => gateway.lines.filter(({ code }) => code === "OK").length).toBe(1_000);
});

test("says METHOD_UNKNOWN to what no public service has", async () => {
  const { client } = await startPair(cleanup);
  const call = new Promise((resolve, reject) => {
    const same = (bytes: Buffer): Buffer => bytes;
    client.makeUnaryRequest("/toy.v1.Nothing/Do", same, same, Buffer.alloc(0), (error) =>
      error === null ? resolve(undefined) : reject(error),
    );
  });
  const error = await rejection(call);
  expect(error.code).toBe(codes.UNIMPLEMENTED);
  expect(errorInfoOf(error)).toMatchObject({ reason: "METHOD_UNKNOWN", domain: "toy.v1.Nothing" });
});

test("writes one line a call, with what is needed to find it and nothing of its content", async () => {
  const { client, gateway } = await startPair(cleanup);
  await unary(client, "echo", Buffer.from("content"));
  await eventually(() => gateway.lines.filter(({ message }) => message === "call")).toHaveLength(1);
  expect(gateway.lines.find(({ message }) => message === "call")).toEqual({
    message: "call",
    service: "toy.v1.ToyService",
    method: "Echo",
    code: "OK",
    reason: undefined,
    durationMs: expect.any(Number),
    peer: "127.0.0.1",
    requestBytes: 12,
    responseBytes: 12,
    traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
});
