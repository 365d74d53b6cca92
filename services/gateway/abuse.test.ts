import { once } from "node:events";
import { type ClientHttp2Session, constants } from "node:http2";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { status as codes } from "@grpc/grpc-js";
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
  startTestGateway,
  toyClient,
  unary,
} from "./testing/setup.ts";
import { floodRequest, toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

function tcp(address: string): Socket {
  const socket = connectTcp({ host: "127.0.0.1", port: Number(address.split(":")[1]) });
  socket.on("error", () => undefined);
  cleanup.add(() => socket.destroy());
  return socket;
}

/** All that a peer says until it ends the connection. */
async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("latin1");
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** The code of the GOAWAY that ends a session. */
async function goaway(session: ClientHttp2Session): Promise<number> {
  const [code] = await once(session, "goaway");
  return code;
}

test("tells HTTP/1 what to do instead", async () => {
  const { address } = await startTestGateway(cleanup, {});
  const socket = tcp(address);
  socket.write("GET / HTTP/1.1\r\nhost: shop\r\n\r\n");
  const answer = await readAll(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  expect(answer).toContain(`grpcurl -plaintext ${address} list`);
  expect(answer).toContain(`buf curl --protocol grpc --http2-prior-knowledge --list-services http://${address}`);
});

test.each([
  ["a TLS handshake", "\x16\x03\x01\x02\x00"],
  ["noise", "\x00\x01\x02"],
])("closes a connection that begins with %s", async (_, bytes) => {
  const { address } = await startTestGateway(cleanup, {});
  const socket = tcp(address);
  socket.write(Buffer.from(bytes, "latin1"));
  expect(await readAll(socket)).toBe("");
});

test.each(["", "PRI * HTTP/2.0\r\n"])("closes a connection that goes silent after %j", async (bytes) => {
  const { address } = await startTestGateway(cleanup, { limits: { prefaceTimeoutMs: 50 } });
  const socket = tcp(address);
  socket.write(bytes);
  socket.resume();
  await once(socket, "close");
});

test("takes a preface that comes in pieces", async () => {
  const { address } = await startTestGateway(cleanup, {});
  const socket = tcp(address);
  socket.setNoDelay(true);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
  for (const byte of preface) {
    socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [settings] = await once(socket, "data");
  expect(settings[3]).toBe(4); // the type of a SETTINGS frame
});

test.each([
  [{ ":method": "GET" }, 405, 1],
  [{ ":method": "HEAD" }, 405, 0],
  [{ "content-type": "application/json" }, 415, 1],
  [{ "content-type": "application/grpc-web" }, 415, 1],
  [{ "content-type": "" }, 415, 1],
])("answers what is no gRPC call, %j, with %d and %d line of text", async (headers, status, lines) => {
  const { address } = await startTestGateway(cleanup, {});
  const stream = rawCall(await rawSession(cleanup, address), headers);
  stream.end();
  const [answer] = await once(stream, "response");
  expect(answer[":status"]).toBe(status);
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  expect(text.split("\n")).toHaveLength(lines + 1);
});

test.each(["application/grpc+proto", "application/grpc;charset=utf-8"])("takes %s for gRPC", async (contentType) => {
  const { gateway } = await startPair(cleanup);
  const stream = rawCall(await rawSession(cleanup, gateway.address), { "content-type": contentType });
  stream.end(frame(Buffer.alloc(0)));
  const [answer] = await once(stream, "response");
  expect(answer[":status"]).toBe(200);
  stream.resume();
});

test("closes a connection that opens calls and resets them at once, before backends feel it", async () => {
  const { gateway, backend } = await startPair(cleanup, { resets: { burst: 50, perSecond: 1 } });
  const session = await rawSession(cleanup, gateway.address);
  const closed = goaway(session);
  const attack = (): void => {
    if (session.destroyed || session.closed) return;
    for (let i = 0; i < 20; i++) rawCall(session).close(constants.NGHTTP2_CANCEL);
    setImmediate(attack);
  };
  attack();
  expect(await closed).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  expect(backend.seen.length).toBeLessThan(100);
  expect(gateway.lines.find(({ flood }) => flood === "RST_STREAM")).toMatchObject({ peer: "127.0.0.1" });
});

test("lets a client cancel all calls of a connection at once", async () => {
  const { gateway, backend, client } = await startPair(cleanup);
  const calls = Array.from({ length: 200 }, () => unary(client, "hang", Buffer.alloc(0)));
  const failures = calls.map(rejection);
  await eventually(() => backend.seen.length).toBe(calls.length);
  for (const { call } of calls) call.cancel();
  for (const error of await Promise.all(failures)) expect(error.code).toBe(codes.CANCELLED);
  expect((await unary(client, "echo", Buffer.from("x"))).bytes.toString()).toBe("x");
  expect(gateway.lines.some(({ flood }) => flood !== undefined)).toBe(false);
});

test.each([
  ["PING", (session: ClientHttp2Session) => session.ping(() => undefined)],
  ["SETTINGS", (session: ClientHttp2Session) => session.settings({ initialWindowSize: 65_535 })],
  [
    "requests for nothing here",
    (session: ClientHttp2Session) => rawCall(session, { ":path": "/a.B/C" }).resume().end(),
  ],
])("closes a connection that floods it with %s", async (flood, send) => {
  const rate = { burst: 50, perSecond: 1 };
  const limits = { pings: rate, settings: rate, refusals: rate };
  const gateway = await startTestGateway(cleanup, { limits });
  const session = await rawSession(cleanup, gateway.address);
  const closed = goaway(session);
  const attack = (): void => {
    if (session.destroyed || session.closed) return;
    for (let i = 0; i < 5; i++) send(session);
    setTimeout(attack, 1);
  };
  attack();
  expect(await closed).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  expect(gateway.lines.find((line) => line.flood !== undefined)).toMatchObject({ flood });
});

test("does not take a client for a flood that pings while it receives, to measure the line", async () => {
  const { gateway } = await startPair(cleanup, { pings: { burst: 5, perSecond: 1 } });
  const session = await rawSession(cleanup, gateway.address);
  const stream = rawCall(session, { ":path": toy.flood.path });
  stream.end(frame(floodRequest(200, 10_000)));
  let pings = 0;
  for await (const chunk of stream) {
    expect(chunk.length).toBeGreaterThan(0);
    await new Promise((resolve) => session.ping(resolve));
    pings += 1;
  }
  expect(pings).toBeGreaterThan(20);
  expect(session.destroyed).toBe(false);
});

test.each([
  ["bytes", { "x-long": "x".repeat(20_000) }],
  ["entries", Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, "y"]))],
])("refuses a header block of too many %s, and serves the connection on", async (_, headers) => {
  const { gateway, backend } = await startPair(cleanup);
  const session = await rawSession(cleanup, gateway.address);
  const stream = rawCall(session, headers);
  stream.end();
  await new Promise((resolve) => stream.once("close", resolve));
  expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  expect(backend.seen).toHaveLength(0);
  const next = rawCall(session);
  next.end(frame(Buffer.alloc(0)));
  await once(next, "response");
  next.resume();
});

test("closes a connection without calls after a while, and keeps one with a call", async () => {
  const limits = { idleConnectionMs: 500, keepaliveMs: 100, keepaliveAckMs: 10_000 };
  const { gateway, backend } = await startPair(cleanup, limits);
  const busy = await rawSession(cleanup, gateway.address);
  const arrived = once(backend.events, "call");
  rawCall(busy, { ":path": toy.hang.path }).end(frame(Buffer.alloc(0)));
  await arrived;
  const idle = await rawSession(cleanup, gateway.address);
  expect(await goaway(idle)).toBe(constants.NGHTTP2_NO_ERROR);
  expect(busy.closed).toBe(false);
});

test("notices a caller who vanished without a word, and frees the backend", async () => {
  const { gateway, backend } = await startPair(cleanup, { keepaliveMs: 200, keepaliveAckMs: 300 });
  const relay = createServer((near) => {
    const far = tcp(gateway.address);
    near.on("error", () => undefined);
    near.pipe(far).pipe(near);
    // From the moment the call has arrived nothing goes through any more, and nobody says so.
    backend.events.once("call", () => far.unpipe(near).resume() && near.unpipe(far));
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  cleanup.add(() => relay.close());
  const address = relay.address();
  if (typeof address !== "object" || address === null) throw new Error("a TCP server has an address");
  const cancelled = once(backend.events, "cancelled");
  const session = await rawSession(cleanup, `127.0.0.1:${address.port}`);
  rawCall(session, { ":path": toy.hang.path }).end(frame(Buffer.alloc(0)));
  expect(await cancelled).toEqual(["hang"]);
});

test("drops connections over its bound, and takes one again when another left", async () => {
  const { gateway } = await startPair(cleanup, { maxConnections: 2 });
  const first = await rawSession(cleanup, gateway.address);
  await rawSession(cleanup, gateway.address);
  const third = tcp(gateway.address);
  third.resume();
  await once(third, "close");
  first.destroy();
  await once(first, "close");
  const client = toyClient(cleanup, gateway.address);
  const answer = () => unary(client, "echo", Buffer.from("x")).then(({ bytes }) => bytes.toString());
  await eventually(() => answer().catch(() => "refused")).toBe("x");
});

test("sheds calls over its bound, and says when to come again", async () => {
  const { backend, client } = await startPair(cleanup, { maxCalls: 2 });
  const running = [unary(client, "hang", Buffer.alloc(0)), unary(client, "hang", Buffer.alloc(0))];
  for (const call of running) call.catch(() => undefined);
  await eventually(() => backend.seen.length).toBe(2);
  const error = await rejection(unary(client, "echo", Buffer.alloc(0)));
  expect(error.code).toBe(codes.RESOURCE_EXHAUSTED);
  expect(errorInfoOf(error)).toMatchObject({ reason: "OVERLOADED" });
  for (const { call } of running) call.cancel();
  const answer = () => unary(client, "echo", Buffer.from("x")).then(({ bytes }) => bytes.toString());
  await eventually(() => answer().catch(() => "shed")).toBe("x");
});
