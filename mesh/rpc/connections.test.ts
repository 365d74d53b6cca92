import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { boundConnections } from "./connections.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
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
  boundConnections(server, 2, { warn } as Parameters<typeof boundConnections>[2]);
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
