import { once } from "node:events";
import { connect, createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { TLSSocket } from "node:tls";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type CertificateHolder, type Certificates, createCertificateHolder } from "#mesh/identity/certificates.ts";
import { createTestAuthority, type TestAuthority } from "../authority.ts";
import { type FaultProxy, startFaultProxy } from "../fault-proxy.ts";

let authority: TestAuthority;
let caller: CertificateHolder;
let callee: CertificateHolder;
let proxy: FaultProxy;
const cleanUps: (() => unknown)[] = [];

beforeEach(async () => {
  authority = await createTestAuthority();
  caller = createCertificateHolder();
  callee = createCertificateHolder();
  const upstream = await serve(await authority.issue("payments"));
  const identities = { caller, callee };
  proxy = await startFaultProxy({
    protocol: "grpc",
    caller: "orders",
    callee: "payments",
    upstream: () => upstream,
    identities,
  });
  cleanUps.push(() => proxy.close());
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function joined(): Promise<void> {
  callee.put(await authority.issue("payments"));
  caller.put(await authority.issue("orders"));
}

test("is the callee to the caller, and the caller to the callee", async () => {
  await joined();
  expect(await ask(await authority.issue("orders"))).toEqual({
    server: "URI:spiffe://shopmesh/payments",
    client: "URI:spiffe://shopmesh/orders",
  });
});

test("goes by its new certificates once it has them", async () => {
  await joined();
  const later = await createTestAuthority(2n);
  const upstream = await later.issue("payments", { trusted: [later.certificate, authority.certificate] });
  callee.put(upstream);
  await expect(ask(await authority.issue("orders"))).rejects.toThrow();
  const trusted = [authority.certificate, later.certificate];
  expect(await ask(await authority.issue("orders", { trusted }))).toMatchObject({
    server: "URI:spiffe://shopmesh/payments",
  });
});

test("takes nobody before it has a certificate, nor anybody but the caller", async () => {
  const orders = await authority.issue("orders");
  await expect(ask(orders)).rejects.toThrow();
  await joined();
  await expect(ask(await authority.issue("cart"))).rejects.toThrow();
  await expect(ask(await (await createTestAuthority()).issue("orders"))).rejects.toThrow();
  await expect(ask(orders)).resolves.toBeDefined();
});

test("connects to nobody but the callee", async () => {
  caller.put(await authority.issue("orders"));
  callee.put(await authority.issue("inventory"));
  await expect(ask(await authority.issue("orders"))).rejects.toThrow();
});

/** A server that answers with the name of its client. */
async function serve(own: Certificates): Promise<string> {
  const server = createSecureServer({ ...context(own), requestCert: true, rejectUnauthorized: true });
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200, client: nameOfPeer(stream.session?.socket) });
    stream.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUps.push(() => new Promise((resolve) => server.close(resolve)));
  // A server that listens on TCP has an address of this form.
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Asks through the proxy: who the server is, as the client sees it, and the client, as the server does. */
async function ask(own: Certificates): Promise<{ readonly server: string; readonly client: string }> {
  const session = connect(`https://${proxy.address}`, { ...context(own), checkServerIdentity: () => undefined });
  try {
    return await new Promise((resolve, reject) => {
      session.on("error", reject);
      session.on("close", () => reject(new Error("the connection was closed")));
      const request = session.request({ ":path": "/" });
      request.on("error", reject);
      request.on("response", ({ client }) => resolve({ server: nameOfPeer(session.socket), client: String(client) }));
    });
  } finally {
    session.destroy();
  }
}

function nameOfPeer(socket: unknown): string {
  return socket instanceof TLSSocket ? (socket.getPeerCertificate().subjectaltname ?? "") : "";
}

function context({ certificate, privateKey, trusted }: Certificates) {
  return { cert: certificate, key: privateKey, ca: [...trusted], minVersion: "TLSv1.3" as const };
}
