import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { status as codes, credentials } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { HealthClient } from "#gen/grpc/health/v1/health.ts";
import { testAuthority } from "#testing/certificates.ts";
import { openTestJoinDoor } from "#testing/join-door.ts";
import {
  createCleanup,
  errorInfoOf,
  rejection,
  startPair,
  startTestGateway,
  toyClient,
  unary,
} from "./testing/setup.ts";
import { toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

test("finishes running calls at shutdown and takes no more", async () => {
  const { gateway, client } = await startPair(cleanup, { shutdownMs: 5_000 });
  const { path, requestSerialize, responseDeserialize } = toy.chat;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  call.write(Buffer.from("before"));
  await once(call, "data");
  const closed = gateway.close();
  // The connection is refused as soon as the listener is closed.
  const late = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(0)));
  expect(late.code).toBe(codes.UNAVAILABLE);
  call.write(Buffer.from("after"));
  expect(String((await once(call, "data"))[0])).toBe("after");
  const status = once(call, "status");
  call.end();
  expect((await status)[0]).toMatchObject({ code: codes.OK });
  await closed;
});

test("fails no call of a client that knows a second gateway", async () => {
  const { gateway, backend } = await startPair(cleanup, { shutdownMs: 5_000, goawayPauseMs: 200 });
  const second = await startTestGateway(cleanup, { targets: { toy: [backend.address] } });
  const client = toyClient(cleanup, `ipv4:${gateway.address},${second.address}`, { "grpc.enable_retries": 1 });
  await unary(client, "echo", Buffer.alloc(0));
  const calls = Array.from({ length: 200 }, () => unary(client, "echo", Buffer.from("x")));
  const closed = gateway.close();
  expect(await Promise.all(calls)).toHaveLength(200);
  expect((await unary(client, "echo", Buffer.from("y"))).bytes.toString()).toBe("y");
  await closed;
});

test("tells calls that do not end to come again, within its bound", async () => {
  const { gateway, backend, client } = await startPair(cleanup, { shutdownMs: 200 });
  const arrived = once(backend.events, "call");
  const cancelled = once(backend.events, "cancelled");
  const running = rejection(unary(client, "hang", Buffer.alloc(0)));
  await arrived;
  await gateway.close();
  const error = await running;
  expect(error.code).toBe(codes.UNAVAILABLE);
  expect(errorInfoOf(error)).toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
  await cancelled;
});

test("is not held up by those who watch its health", async () => {
  const { gateway } = await startPair(cleanup, { shutdownMs: 20_000 });
  const client = new HealthClient(gateway.address, credentials.createInsecure());
  cleanup.add(() => client.close());
  const stream = client.watch({ service: "" });
  const ended = once(stream, "error");
  stream.resume();
  await once(stream, "metadata");
  await gateway.close();
  expect((await ended)[0]).toMatchObject({ code: codes.UNAVAILABLE });
});

/** Runs main.ts as `npm start` does, as a process of its own with a channel to its parent. */
async function startProcess(environment: Readonly<Record<string, string>>) {
  const door = await openTestJoinDoor(await testAuthority());
  cleanup.add(() => door.close());
  const main = join(import.meta.dirname, "main.ts");
  const child = spawn(process.execPath, ["--import", "tsx", main], {
    env: { PATH: process.env.PATH, ...(await door.environment("gateway")), ...environment },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  cleanup.add(() => child.kill("SIGKILL"));
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout?.resume();
  return { child, exit: once(child, "exit"), errors: () => errors };
}

test("as a process: says when it is ready, and ends with 0 on SIGTERM and when its parent is gone", async () => {
  for (const end of ["SIGTERM", "disconnect"]) {
    const { child, exit, errors } = await startProcess({ SHOPMESH_PORT: "0" });
    const [message] = await once(child, "message");
    expect(message).toEqual({ type: "ready", port: expect.any(Number) });
    if (end === "SIGTERM") child.kill("SIGTERM");
    else child.disconnect();
    expect((await exit)[0], end).toBe(0);
    expect(errors()).toBe("");
  }
});

test("as a process: says in one line that its port is in use, and ends with 1", async () => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(0, "127.0.0.1", resolve));
  cleanup.add(() => squatter.close());
  const address = squatter.address();
  const port = typeof address === "object" ? String(address?.port) : "";
  const { exit, errors } = await startProcess({ SHOPMESH_PORT: port });
  expect((await exit)[0]).toBe(1);
  expect(errors()).toBe(
    `gateway: the address 127.0.0.1:${port} is in use; stop what listens there, or set SHOPMESH_PORT to another port\n`,
  );
});

test.each([
  [{ SHOPMESH_PORT: "http" }, /^gateway: SHOPMESH_PORT must be .*\n$/],
  [{ SHOPMESH_PORT: "0", SHOPMESH_JOIN: "" }, /^gateway: SHOPMESH_JOIN is not set\n$/],
  [{ SHOPMESH_PORT: "0", SHOPMESH_PUBLIC_HOST: "192.0.2.1" }, /^gateway: this machine has no address for .*\n$/],
])("as a process: says in one line what is wrong with %j", async (environment, line) => {
  const { exit, errors } = await startProcess(environment);
  expect((await exit)[0]).toBe(1);
  expect(errors()).toMatch(line);
});
