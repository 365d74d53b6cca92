import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { bindPublicSocket, type PublicSocket } from "#mesh/public-socket.ts";
import { portable, testCertificates } from "#testing/certificates.ts";
import { createCleanup, eventually, startPair, startTestGateway, toyClient, unary } from "./testing/setup.ts";
import { startToyBackend, type ToyBackend } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

async function startGatewayProcess(socket: PublicSocket, backend: ToyBackend): Promise<ChildProcess> {
  const certificates = portable(await testCertificates("gateway"));
  const child = fork(
    new URL("./process.fixture.ts", import.meta.url),
    [backend.address, JSON.stringify(certificates)],
    {
      execArgv: ["--import", "tsx"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    },
  );
  cleanup.add(() => child.kill("SIGKILL"));
  socket.handTo(child);
  expect((await once(child, "message"))[0]).toEqual({ type: "ready", port: socket.port });
  return child;
}

async function startShared(): Promise<{ readonly socket: PublicSocket; readonly backend: ToyBackend }> {
  const backend = await startToyBackend();
  cleanup.add(() => backend.kill());
  const socket = await bindPublicSocket({ host: "127.0.0.1", port: 0 });
  cleanup.add(() => socket.close());
  return { socket, backend };
}

test("of two gateways on one socket one ends, and no call of a steady load fails", async () => {
  const { socket, backend } = await startShared();
  // Alone at first, so that all connections are its own.
  const leaving = await startGatewayProcess(socket, backend);
  // As anybody would make them: what grpc-js does by itself is all that they do.
  const clients = Array.from({ length: 8 }, () =>
    toyClient(cleanup, `127.0.0.1:${socket.port}`, { "grpc.enable_retries": 1 }),
  );
  let running = true;
  let answered = 0;
  const failures: unknown[] = [];
  const load = clients.flatMap((client) =>
    [1, 2].map(async () => {
      while (running) {
        try {
          await unary(client, "echo", Buffer.from("x"));
          answered += 1;
        } catch (error) {
          failures.push(error);
        }
      }
    }),
  );
  const later = async (): Promise<void> => {
    const before = answered;
    await eventually(() => answered).toBeGreaterThan(before + 200);
  };
  await later();
  await startGatewayProcess(socket, backend);
  const left = once(leaving, "exit");
  leaving.kill("SIGTERM");
  expect((await left)[0]).toBe(0);
  await later();
  running = false;
  await Promise.all(load);
  expect(failures).toEqual([]);
});

test("while no gateway runs, callers wait instead of being refused", async () => {
  const { socket, backend } = await startShared();
  const first = await startGatewayProcess(socket, backend);
  const left = once(first, "exit");
  first.kill("SIGTERM");
  await left;
  const answer = unary(toyClient(cleanup, `127.0.0.1:${socket.port}`), "echo", Buffer.from("x"));
  await startGatewayProcess(socket, backend);
  expect((await answer).bytes.toString()).toBe("x");
});

test("an address that is in use is said to be", async () => {
  const taken = createServer();
  taken.listen(0, "127.0.0.1");
  await once(taken, "listening");
  cleanup.add(() => taken.close());
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await expect(bindPublicSocket({ host: "127.0.0.1", port })).rejects.toMatchObject({ code: "EADDRINUSE", port });
});

test("a connection that was accepted just before the end is still served", async () => {
  const { gateway, backend } = await startPair(cleanup, { shutdownMs: 5_000, lastPrefaceMs: 5_000 });
  const socket = connect(gateway.port, "127.0.0.1");
  await once(socket, "connect");
  cleanup.add(() => socket.destroy());
  await accepted(gateway.address);
  const closed = gateway.close();
  const session = connectHttp2(`http://${gateway.address}`, { createConnection: () => socket });
  cleanup.add(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": "/toy.v1.ToyService/Echo",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const trailers = once(stream, "trailers");
  stream.resume();
  stream.end(Buffer.alloc(5));
  expect((await trailers)[0]).toMatchObject({ "grpc-status": "0" });
  expect(backend.seen).toHaveLength(1);
  await closed;
});

test("one that says nothing does not hold the end up", async () => {
  const gateway = await startTestGateway(cleanup, { limits: { shutdownMs: 60_000, lastPrefaceMs: 50 } });
  const socket: Socket = connect(gateway.port, "127.0.0.1");
  cleanup.add(() => socket.destroy());
  await once(socket, "connect");
  await accepted(gateway.address);
  await gateway.close();
});

/** Connections are accepted in their order: when a later one is answered, the earlier ones have been. */
async function accepted(address: string): Promise<void> {
  const session = connectHttp2(`http://${address}`);
  await once(session, "remoteSettings");
  session.close();
}
