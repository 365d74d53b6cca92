import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { testCertificates } from "#testing/certificates.ts";
import { contextOf, secure } from "./tls.ts";

test("a peer that takes the connection and says nothing is given up in time", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo; // it listens on TCP
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const context = contextOf(await testCertificates("orders"));
  await expect(secure(socket, context, "cart", 50)).rejects.toThrow("cart did not prove itself within 50 ms");
  expect(socket.destroyed).toBe(true);
  silent.close();
});

test("the context of a set of certificates is made once", async () => {
  const certificates = await testCertificates("orders");
  expect(contextOf(certificates)).toBe(contextOf(certificates));
  expect(contextOf({ ...certificates })).not.toBe(contextOf(certificates));
});
