import { once } from "node:events";
import { type ClientHttp2Session, constants } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { status as codes } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { frame } from "./framing.ts";
import { createShares } from "./shares.ts";
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
import { toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

/** A connection from an address of the caller's choice: all of 127.0.0.0/8 is this machine. */
function tcpFrom(localAddress: string, port: number): Socket {
  const socket = connectTcp({ host: "127.0.0.1", port, localAddress, allowHalfOpen: true });
  socket.on("error", () => undefined);
  cleanup.add(() => socket.destroy());
  return socket;
}

/** HTTP/2's preface, an empty SETTINGS frame, and whatever else. */
function greeting(...frames: string[]): Buffer {
  return Buffer.from(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${frames.join("")}`, "latin1");
}

test("shares are counted for each address, and can be given back", () => {
  const shares = createShares({ total: 4, perAddress: 2 });
  const first = shares.take("a");
  expect([first, shares.take("a")]).toEqual([expect.any(Function), expect.any(Function)]);
  expect([shares.take("a"), shares.take("b")]).toEqual([undefined, expect.any(Function)]);
  first?.();
  expect([shares.take("a"), shares.take("a")]).toEqual([expect.any(Function), undefined]);
  expect([shares.take("c"), shares.take("d")]).toEqual([expect.any(Function), undefined]);
});

test("lets one address take its share of connections, and others still connect", async () => {
  const { gateway, client } = await startPair(cleanup, { connectionsPerAddress: 2 });
  await rawSession(cleanup, gateway.address);
  const second = await rawSession(cleanup, gateway.address);
  const third = tcpFrom("127.0.0.1", gateway.port).resume();
  await once(third, "end");
  const other = tcpFrom("127.0.0.2", gateway.port);
  other.write(greeting());
  expect((await once(other, "data"))[0][3]).toBe(4); // the type of a SETTINGS frame
  second.destroy();
  const answer = () => unary(client, "echo", Buffer.from("x")).then(({ bytes }) => bytes.toString());
  await eventually(() => answer().catch(() => "refused")).toBe("x");
});

test("sheds calls of an address over its share, and takes one again when another ended", async () => {
  const { gateway, backend, client } = await startPair(cleanup, { callsPerAddress: 2 });
  const running = [unary(client, "hang", Buffer.alloc(0)), unary(client, "hang", Buffer.alloc(0))];
  for (const call of running) call.catch(() => undefined);
  await eventually(() => backend.seen.length).toBe(2);
  const elsewhere = toyClient(cleanup, gateway.address); // another connection, the same address
  const error = await rejection(unary(elsewhere, "echo", Buffer.alloc(0)));
  expect(error.code).toBe(codes.RESOURCE_EXHAUSTED);
  expect(errorInfoOf(error)).toMatchObject({ reason: "OVERLOADED" });
  expect(gateway.stats.read()).toMatchObject({ callsTotal: 1n, callsShed: 1n, callsFailed: 0n, callsRunning: 2n });
  running[0]?.call.cancel();
  const answer = () => unary(elsewhere, "echo", Buffer.from("x")).then(({ bytes }) => bytes.toString());
  await eventually(() => answer().catch(() => "shed")).toBe("x");
});

test("passes no more calls of one connection at a time than its share", async () => {
  const { gateway, backend } = await startPair(cleanup, { maxConcurrentStreams: 3 });
  const session = await rawSession(cleanup, gateway.address);
  expect(session.remoteSettings.maxConcurrentStreams).toBe(3);
  const streams = Array.from({ length: 5 }, () => rawCall(session, { ":path": toy.hang.path }));
  for (const stream of streams) stream.end(frame(Buffer.alloc(0)));
  await eventually(() => backend.seen.length).toBe(3);
  await new Promise((resolve) => session.ping(resolve));
  expect(backend.seen).toHaveLength(3);
  streams[0]?.close(constants.NGHTTP2_CANCEL);
  await eventually(() => backend.seen.length).toBe(4);
});

test("closes the longest idle connections when they run short, and none with a call", async () => {
  const limits = { maxConnections: 5, idleUnderPressureMs: 0, sweepMs: 20 };
  const { gateway, backend } = await startPair(cleanup, limits);
  const arrived = once(backend.events, "call");
  const busy = await rawSession(cleanup, gateway.address);
  rawCall(busy, { ":path": toy.hang.path }).end(frame(Buffer.alloc(0)));
  await arrived;
  const idle: ClientHttp2Session[] = [];
  for (let i = 0; i < 3; i++) idle.push(await rawSession(cleanup, gateway.address));
  const ended: ClientHttp2Session[] = [];
  for (const session of [busy, ...idle]) session.once("close", () => ended.push(session));
  // The fifth of five is one more than four fifths.
  const fifth = await rawSession(cleanup, gateway.address);
  await eventually(() => ended.length).toBe(1);
  expect(ended[0]).toBe(idle[0]);
  await new Promise((resolve) => fifth.ping(resolve));
  expect([busy, ...idle, fifth].map((session) => session.destroyed)).toEqual([false, true, false, false, false]);
});

test("leaves connections that were idle for a short time alone, however few are left", async () => {
  const gateway = await startTestGateway(cleanup, { limits: { maxConnections: 1, sweepMs: 10 } });
  const session = await rawSession(cleanup, gateway.address);
  for (let i = 0; i < 20; i++) await new Promise((resolve) => session.ping(resolve));
  expect(session.closed).toBe(false);
});

test("cuts a connection whose client says that it is over and doesn't close it", async () => {
  const gateway = await startTestGateway(cleanup, { limits: { sweepMs: 50, shutdownMs: 60_000 } });
  const socket = tcpFrom("127.0.0.1", gateway.port).resume();
  // GOAWAY: no stream, no error.
  socket.write(greeting("\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0"));
  await once(socket, "end"); // the gateway's end is closed, this one never is
  await gateway.close();
});
