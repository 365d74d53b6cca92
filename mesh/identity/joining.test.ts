import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeAll, expect, test } from "vitest";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import { type JoinConfig, readMeshConfig } from "#mesh/config.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import type { Certificates, JoinError } from "#mesh/identity/certificates.ts";
import { createMeshNode, type MeshNode } from "#mesh/mesh.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { createTestAuthority, type TestAuthority } from "#testing/authority.ts";
import { openTestJoinDoor, type TestJoinDoor } from "#testing/join-door.ts";
import { testConfig } from "#testing/mesh.ts";
import { knock } from "./join-door.ts";
import { deriveJoinKey, makeJoinToken } from "./join-token.ts";
import { joinMesh } from "./joining.ts";
import type { Membership } from "./membership.ts";

const secret = "ab".repeat(32);
const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });

const never = new AbortController().signal;

let authority: TestAuthority;
let foreign: TestAuthority;
beforeAll(async () => {
  [authority, foreign] = await Promise.all([createTestAuthority(), createTestAuthority(9n)]);
});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startControl(as: Certificates): Promise<TestJoinDoor> {
  const door = await openTestJoinDoor(authority, as);
  cleanUps.push(() => door.close());
  return door;
}

/** A process that finds control. */
function callerOf({ control }: TestJoinDoor, certificates: Membership): MeshNode {
  const endpoints = staticEndpoints({ control: [control] });
  const node = createMeshNode("cart", testConfig(), { log, certificates, endpoints });
  cleanUps.push(() => node.close());
  return node;
}

const tokenOf = (service: string, key = deriveJoinKey(secret, service), now = new Date()): Promise<string> =>
  makeJoinToken({ key, service, id: `join_${service}`, now });

function member(control: TestJoinDoor, proof: JoinConfig["proof"], service = "cart") {
  const lost: JoinError[] = [];
  let node: MeshNode | undefined;
  const membership: Membership = joinMesh({
    service,
    config: { address: control.address, trustFile: control.trustFile, proof },
    certificates: () => {
      node ??= callerOf(control, membership);
      return node.client(CertificateService);
    },
    background: (options) => callerOf(control, membership).background(options),
    clock: systemClock,
    log,
    onLost: (error) => lost.push(error),
  });
  cleanUps.push(() => membership.close());
  return { membership, lost };
}

const held = (membership: Membership): Promise<Certificates> => new Promise((resolve) => membership.watch(resolve));

test("a process joins by a token, and renews under the certificate that it got", async () => {
  const control = await startControl(await authority.issue("control"));
  const { membership } = member(control, { token: await tokenOf("cart") });
  const first = await held(membership);
  expect(first).toMatchObject({ service: "cart", trusted: [authority.certificate], generation: 1n });
  const renewed = new Promise<Certificates>((resolve) =>
    membership.watch((now) => now.certificate !== first.certificate && resolve(now)),
  );
  membership.trust({ certificates: [authority.certificate], generation: 2n });
  expect(await renewed).toMatchObject({ service: "cart" });
});

test("a process joins by a key in a file", async () => {
  const control = await startControl(await authority.issue("control"));
  const keyFile = join(control.folder, "join-key");
  await writeFile(keyFile, `${deriveJoinKey(secret, "cart")}\n`);
  expect(await held(member(control, { keyFile }).membership)).toMatchObject({ service: "cart" });
});

test.each<[string, () => Promise<string>, RegExp]>([
  ["of another service", () => tokenOf("orders"), /of orders, not of cart/],
  [
    "that is made with another service's key",
    () => tokenOf("cart", deriveJoinKey(secret, "orders")),
    /JOIN_TOKEN_INVALID/,
  ],
  ["that has expired", () => tokenOf("cart", undefined, new Date(Date.now() - 3_600_000)), /JOIN_TOKEN_INVALID/],
])("a process does not join by a token %s", async (_, make, message) => {
  const { lost, membership } = member(await startControl(await authority.issue("control")), { token: await make() });
  await expect.poll(() => lost[0]?.message, { timeout: 10_000 }).toMatch(message);
  expect(membership.current()).toBeUndefined();
});

test("a key file that holds no key is told", async () => {
  const control = await startControl(await authority.issue("control"));
  const { lost } = member(control, { keyFile: control.trustFile });
  await expect
    .poll(() => lost[0]?.message)
    .toBe(`cart may not join the mesh: ${control.trustFile} holds no join key: 32 bytes in hex`);
});

test.each<[string, () => Promise<Certificates>]>([
  ["is control by a foreign authority", () => foreign.issue("control")],
  ["is another service", () => authority.issue("cart")],
  [
    "has two names",
    () => authority.issue("control", { uris: ["spiffe://shopmesh/control", "spiffe://shopmesh/cart"] }),
  ],
  ["has an expired certificate", () => authority.issue("control", { expireTime: new Date(Date.now() - 1_000) })],
])("nobody tells a token to who %s", async (_, make) => {
  const { address, trustFile } = await startControl(await make());
  const knocking = knock({ address, trustFile }, { token: "secret", publicKey: Buffer.from("key") }, never);
  await expect(knocking).rejects.toMatchObject({ reason: "SERVICE_UNAVAILABLE" });
});

test("who gives up on a door that says nothing leaves no handshake behind", async () => {
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  cleanUps.push(() => mute.close());
  const { trustFile } = await startControl(await authority.issue("control"));
  const place = mute.address();
  const address = `127.0.0.1:${typeof place === "object" ? place?.port : ""}`;
  const ending = new AbortController();
  const request = { token: "secret", publicKey: Buffer.from("key") };
  const knocking = knock({ address, trustFile }, request, ending.signal).catch((error: unknown) => error);
  const [socket]: Socket[] = await once(mute, "connection");
  if (socket === undefined) throw new Error("nobody came");
  await once(socket, "data");
  ending.abort();
  expect(await knocking).toMatchObject({ code: "CANCELLED" });
  if (!socket.closed) await once(socket, "close");
});

test("the join door serves what is for those who join, and nothing else", async () => {
  const control = await startControl(await authority.issue("control"));
  const { Client, credentials, Metadata } = await import("@grpc/grpc-js");
  const client = new Client(
    control.address,
    credentials.createSsl(Buffer.from(authority.certificate), null, null, { checkServerIdentity: () => undefined }),
    { "grpc.ssl_target_name_override": "control", "grpc.use_local_subchannel_pool": 1 },
  );
  cleanUps.push(() => client.close());
  const pass = (bytes: Buffer): Buffer => bytes;
  const ask = (path: string): Promise<number> =>
    new Promise((resolve) => {
      const options = { deadline: Date.now() + 5_000 };
      const request = Buffer.from([0x0a, 1, 0x61, 0x12, 1, 0x61]);
      client.makeUnaryRequest(path, pass, pass, request, new Metadata(), options, (error) => resolve(error?.code ?? 0));
    });
  const unauthenticated = 16;
  const permissionDenied = 7;
  const unimplemented = 12;
  expect(await ask("/mesh.v1.CertificateService/JoinMesh")).toBe(unauthenticated);
  for (const method of ["RenewCertificate", "RotateAuthority", "ListAuthorities"]) {
    expect(await ask(`/mesh.v1.CertificateService/${method}`)).toBe(permissionDenied);
  }
  expect(await ask("/grpc.health.v1.Health/Check")).toBe(unimplemented);
  expect(await ask("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")).toBe(unimplemented);
});

test("how to join is said by the settings, once", () => {
  const settings = { SHOPMESH_JOIN: "127.0.0.1:9001", SHOPMESH_TRUST_FILE: "trust.pem" };
  const readJoin = (environment: Record<string, string>): JoinConfig => readMeshConfig(environment).join;
  const place = { address: "127.0.0.1:9001", trustFile: "trust.pem" };
  expect(readJoin({ ...settings, SHOPMESH_JOIN_TOKEN: "t" })).toEqual({ ...place, proof: { token: "t" } });
  expect(readJoin({ ...settings, SHOPMESH_JOIN_KEY_FILE: "k" })).toEqual({ ...place, proof: { keyFile: "k" } });
  expect(() => readJoin(settings)).toThrow("one of SHOPMESH_JOIN_TOKEN and SHOPMESH_JOIN_KEY_FILE must be set");
  expect(() => readJoin({ ...settings, SHOPMESH_JOIN_TOKEN: "t", SHOPMESH_JOIN_KEY_FILE: "k" })).toThrow("one of");
  expect(() => readJoin({})).toThrow("SHOPMESH_JOIN is not set");
  expect(() => readJoin({ SHOPMESH_JOIN: "here" })).toThrow("SHOPMESH_JOIN must be host:port");
});
