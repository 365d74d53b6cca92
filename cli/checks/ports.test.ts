import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { checkPublicPort, findFreePorts, releasePort } from "./ports.ts";

let open: Server[] = [];

afterEach(async () => {
  await Promise.all(open.map((server) => new Promise((resolve) => server.close(resolve))));
  open = [];
});

test("says in one line which port is in use, and what to do", async () => {
  const [port = 0] = await findFreePorts(1);
  await checkPublicPort(port);
  await listen(port, "127.0.0.1");
  await expect(checkPublicPort(port)).rejects.toThrow(`port ${port} is in use; choose another with SHOPMESH_PORT=…`);
});

test("notices a port that is in use on all addresses", async () => {
  const [port = 0] = await findFreePorts(1);
  await listen(port, "0.0.0.0");
  await expect(checkPublicPort(port)).rejects.toThrow(/is in use/);
});

test("finds different free ports that no outgoing connection will be given", async () => {
  const ports = await findFreePorts(20);
  expect(new Set(ports).size).toBe(20);
  for (const port of ports) expect(port).toBeLessThan(32_768);
  await Promise.all(ports.map((port) => listen(port, "127.0.0.1")));
});

test("keeps what it found from everybody else who looks, until it is given back", async () => {
  const [port = 0] = await findFreePorts(1);
  const other = createSocket("udp4");
  other.bind({ address: "127.0.0.1", port, exclusive: true });
  await expect(once(other, "listening")).rejects.toThrow("EADDRINUSE");
  releasePort(port);
  const again = createSocket("udp4");
  again.bind({ address: "127.0.0.1", port, exclusive: true });
  await once(again, "listening");
  other.close();
  again.close();
});

async function listen(port: number, host: string): Promise<void> {
  const server = createServer();
  open.push(server);
  server.listen(port, host);
  await once(server, "listening");
}
