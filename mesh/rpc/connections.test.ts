import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { contextOptions } from "#mesh/identity/tls.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createTestAuthority } from "#testing/authority.ts";
import { testConfig } from "#testing/mesh.ts";
import { freePort } from "#testing/ports.ts";
import { boundConnections } from "./connections.ts";
import type { Door } from "./credentials.ts";
import { LISTENER_LIMITS } from "./limits.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

test("a listener takes so many connections, be they silent, and another when one of them has ended", async () => {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanUps.push(() => server.forceShutdown());
  let lines = 0;
  const warn = () => {
    lines += 1;
  };
  // Only this form of it is used.
  boundConnections(server, { most: 2, door: "workloads" }, { warn } as Parameters<typeof boundConnections>[2]);
  const open = (): Socket => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    cleanUps.push(() => socket.destroy());
    return socket;
  };
  /** What the server says first: the settings of HTTP/2, or that the connection has ended. */
  const greeting = (socket: Socket): Promise<unknown> =>
    Promise.race([once(socket, "data").then(() => "taken"), once(socket, "close").then(() => "refused")]);
  const silent = [open(), open()];
  expect(await Promise.all(silent.map(greeting))).toEqual(["taken", "taken"]);
  expect(await Promise.all([greeting(open()), greeting(open())])).toEqual(["refused", "refused"]);
  expect(lines).toBe(1);
  silent[0]?.destroy();
  await expect.poll(() => greeting(open())).toBe("taken");
});

describe("a listener with ten connections", () => {
  const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
  let port: number;
  let certificates: Certificates;
  let another: Certificates;

  async function listen(door: Door, keepalive = LISTENER_LIMITS.keepalive): Promise<void> {
    const authority = await createTestAuthority();
    certificates = await authority.issue("probe");
    another = await authority.issue("another");
    const limits = { ...LISTENER_LIMITS, connections: 10, keepalive };
    const node = createMeshNode("probe", testConfig(), {
      log,
      limits,
      certificates: createCertificateHolder(certificates),
    });
    const joining = { listen: { host: "127.0.0.1", port: await freePort() }, services: [] };
    const server = await node.serve({ services: [], joinDoor: joining });
    cleanUps.push(() => server.close());
    port = door === "joining" ? joining.listen.port : server.port;
  }

  /** Opens a connection that goes no further. */
  async function silent(localAddress = "127.0.0.1"): Promise<Socket> {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    cleanUps.push(() => socket.destroy());
    socket.on("error", () => undefined);
    socket.resume();
    await once(socket, "connect");
    return socket;
  }

  /** Opens a connection whose handshake is over, and that the server has taken up. */
  async function secured(of = certificates): Promise<TLSSocket> {
    const socket = connectTls({
      ...contextOptions(of),
      port,
      host: "127.0.0.1",
      ALPNProtocols: ["h2"],
      rejectUnauthorized: false,
    });
    cleanUps.push(() => socket.destroy());
    socket.on("error", () => undefined);
    const [greeting] = await Promise.race([once(socket, "data"), once(socket, "close")]);
    if (typeof greeting === "boolean") throw new Error("refused");
    return socket;
  }

  const ended = async (...sockets: readonly Socket[]): Promise<void> => {
    for (const socket of sockets) if (!socket.closed) await once(socket, "close");
  };

  test("takes one that proves itself in the place of the oldest that does not", async () => {
    await listen("workloads");
    const sockets: Socket[] = [];
    for (let number = 0; number < 10; number += 1) sockets.push(await silent());
    const first = await secured();
    await ended(...sockets.slice(0, 1));
    await secured();
    await ended(...sockets.slice(1, 2));
    expect(sockets.filter(({ closed }) => closed)).toHaveLength(2);
    expect(first.closed).toBe(false);
  });

  test("ends none for another that has proved itself", async () => {
    await listen("workloads");
    const standing = await Promise.all(Array.from({ length: 10 }, (_, i) => secured(i < 5 ? certificates : another)));
    await ended(await silent());
    await expect(secured()).rejects.toThrow();
    expect(standing.filter(({ closed }) => closed)).toHaveLength(0);
  });

  test("has half of them for one workload", async () => {
    await listen("workloads");
    const standing = await Promise.all(Array.from({ length: 5 }, () => secured()));
    await expect(secured()).rejects.toThrow();
    await secured(another);
    expect(standing.filter(({ closed }) => closed)).toHaveLength(0);
    standing[0]?.destroy();
    await expect
      .poll(() =>
        secured().then(
          () => "taken",
          () => "refused",
        ),
      )
      .toBe("taken");
  });

  test("has the address pay that holds the most", { skip: process.platform !== "linux" }, async () => {
    await listen("workloads");
    const few = [await silent("127.0.0.2"), await silent("127.0.0.2")];
    const many: Socket[] = [];
    for (let number = 0; number < 20; number += 1) many.push(await silent("127.0.0.3"));
    await secured();
    await ended(...many.slice(0, 13));
    expect([...few, ...many].filter(({ closed }) => closed)).toHaveLength(13);
    expect(few.filter(({ closed }) => closed)).toHaveLength(0);
  });

  test("ends one that answers no ping", async () => {
    await listen("workloads", { timeMs: 50, timeoutMs: 50 });
    await ended(await secured());
  });

  test("ends the oldest of those that join, who prove nothing", async () => {
    await listen("joining");
    const sockets: Socket[] = [];
    for (let number = 0; number < 10; number += 1) sockets.push(await secured());
    await secured();
    await ended(...sockets.slice(0, 1));
    expect(sockets.filter(({ closed }) => closed)).toHaveLength(1);
  });
});
