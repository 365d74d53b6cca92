import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import { AuthorityState, type IssuedCertificate } from "#gen/mesh/v1/certificate_service.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import { knock } from "#mesh/identity/join-door.ts";
import { deriveJoinKey, makeJoinToken } from "#mesh/identity/join-token.ts";
import { decodeFailure } from "#mesh/rpc/status.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { CERTIFICATE_LIFETIME_MS, JOIN_SECRET, startControl, type TestControl } from "../testing/control.ts";
import { CLOCK_SKEW_MS, INTRODUCE_MAX_MS, INTRODUCE_MIN_MS } from "./domain.ts";

let control: TestControl;
let dataDir: string;

beforeEach(async () => {
  dataDir = await temporaryFolder();
  control = await startControl({ dataDir, joinDoor: true });
});
afterEach(async () => {
  await control.close();
  await removeFolder(dataDir);
});

describe("who joins", () => {
  test("is certified for the service of the token, and no other", async () => {
    const issued = await joinAs(await token("cart"), key());
    expect(new X509Certificate(issued.certificate).subjectAltName).toBe("URI:spiffe://shopmesh/cart");
    expect(issued.trustedCertificates.join("")).toBe(await trustFile());
    expect(isSignedBy(issued, issued.trustedCertificates[0])).toBe(true);
  });

  test("is answered again with the same key, and refused with another, also after a restart", async () => {
    const [given, publicKey] = [await token("cart"), key()];
    await joinAs(given, publicKey);
    await joinAs(given, publicKey);
    await expect(joinAs(given, key())).rejects.toMatchObject({ code: "UNAUTHENTICATED", reason: "JOIN_TOKEN_INVALID" });
    await restart();
    await expect(joinAs(given, key())).rejects.toMatchObject({ reason: "JOIN_TOKEN_INVALID" });
    await joinAs(given, publicKey);
  });

  test("of two with one token and two keys at once, one joins", async () => {
    const given = await token("cart");
    const ends = await Promise.allSettled([joinAs(given, key()), joinAs(given, key())]);
    expect(ends.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });

  test("does not use up the token with a key that is none", async () => {
    const given = await token("cart");
    await expect(joinAs(given, Buffer.from("no key"))).rejects.toMatchObject({ reason: "PUBLIC_KEY_UNUSABLE" });
    await joinAs(given, key());
  });

  test("is refused with a token of another mesh, one that has expired, and anything else", async () => {
    const foreign = await token("cart", { secret: "77".repeat(32) });
    const old = await token("cart", { ageMs: 11 * 60_000 });
    for (const given of [foreign, old, "a token"]) {
      await expect(joinAs(given, key())).rejects.toMatchObject({ reason: "JOIN_TOKEN_INVALID" });
    }
  });

  test("does so at the join door alone, where nothing else is to be had", async () => {
    const denied = { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" };
    const { renewCertificate, listAuthorities } = CertificateService.definition;
    await expect(askAtDoor(renewCertificate, { publicKey: key() })).rejects.toMatchObject(denied);
    await expect(askAtDoor(listAuthorities, {})).rejects.toMatchObject(denied);
    await expect(askAtDoor(RegistryService.definition.listInstances, { service: "" })).rejects.toMatchObject({
      reason: "METHOD_UNKNOWN",
    });
    const member = control.mesh.mesh("cart").client(CertificateService);
    const joining = member.joinMesh({ token: await token("cart"), publicKey: key() }, control.call("cart"));
    await expect(joining).rejects.toMatchObject(denied);
  });
});

test("a process renews for the service that it is", async () => {
  const issued = await renew("orders");
  expect(new X509Certificate(issued.certificate).subjectAltName).toBe("URI:spiffe://shopmesh/orders");
});

test("the control plane renews its own certificate at half its life", async () => {
  const first = control.control.certificates.current();
  await control.advance(CERTIFICATE_LIFETIME_MS / 2 - 2_000);
  expect(control.control.certificates.current()).toBe(first);
  await control.advance(3_000);
  const second = control.control.certificates.current();
  expect(second?.expireTime.getTime()).toBeGreaterThan(first?.expireTime.getTime() ?? 0);
});

describe("a rotation", () => {
  test("is trusted by everybody before it signs, and is over when the last old certificate has expired", async () => {
    const watch = await control.watch(["cart"]);
    const old = await renew("cart");
    await rotate();
    const told = await watch.next();
    expect(told.trust).toMatchObject({ generation: 1n, certificates: [expect.anything(), expect.anything()] });
    expect(told.trust?.certificates.join("")).toBe(await trustFile());
    const meanwhile = await renew("cart");
    expect(meanwhile).toMatchObject({ generation: 1n, trustedCertificates: told.trust?.certificates });

    await control.advance(INTRODUCE_MIN_MS);
    expect((await watch.next()).trust?.generation).toBe(2n);
    const fresh = await renew("cart");
    expect(fresh.generation).toBe(2n);
    expect(isSignedBy(fresh, told.trust?.certificates[1])).toBe(true);
    expect(isSignedBy(old, fresh.trustedCertificates[0])).toBe(true);
    expect(control.control.certificates.current()?.generation).toBe(2n);

    await control.advance(CERTIFICATE_LIFETIME_MS + CLOCK_SKEW_MS);
    const last = (await watch.next()).trust;
    expect(last).toMatchObject({ generation: 2n, certificates: [told.trust?.certificates[1]] });
    expect(await trustFile()).toBe(told.trust?.certificates[1]);
  });

  test("waits for a watcher that does not acknowledge, for a minute", async () => {
    const watch = await control.watch(["cart"], { acknowledges: false });
    await rotate();
    await watch.next();
    await control.advance(INTRODUCE_MIN_MS);
    expect(await states()).toEqual([AuthorityState.SIGNING, AuthorityState.INTRODUCED]);
    await control.advance(INTRODUCE_MAX_MS - INTRODUCE_MIN_MS);
    expect(await states()).toEqual([AuthorityState.RETIRING, AuthorityState.SIGNING]);
  });

  test("goes on after a restart at any of its steps", async () => {
    await rotate();
    await restart();
    expect(await states()).toEqual([AuthorityState.SIGNING, AuthorityState.INTRODUCED]);
    await control.advance(INTRODUCE_MAX_MS);
    await restart();
    expect(await states()).toEqual([AuthorityState.RETIRING, AuthorityState.SIGNING]);
    await control.advance(INTRODUCE_MAX_MS + CERTIFICATE_LIFETIME_MS + CLOCK_SKEW_MS);
    await restart();
    expect(await states()).toEqual([AuthorityState.SIGNING]);
  });

  test("is told to all who listen though the disk is full, and to those who join as soon as it is not", async () => {
    const watch = await control.watch(["cart"]);
    const before = await trustFile();
    const path = join(dataDir, "trust.pem");
    await rm(path);
    await mkdir(path); // so that nothing can be put there
    await expect(rotate()).rejects.toMatchObject({ code: "INTERNAL" });
    const told = (await watch.next()).trust?.certificates.join("");
    expect(told).toContain(before);
    await rm(path, { recursive: true });
    await control.control.tick();
    expect(await trustFile()).toBe(told);
    expect(told).not.toBe(before);
    expect(await states()).toEqual([AuthorityState.SIGNING, AuthorityState.INTRODUCED]);
  });

  test("is one at a time", async () => {
    const ends = await Promise.allSettled([rotate(), rotate()]);
    expect(ends.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await expect(rotate()).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "ROTATION_UNDER_WAY" });
  });

  test("is begun by the operator alone", async () => {
    const supervisor = control.mesh.mesh("supervisor").client(CertificateService);
    const rotating = supervisor.rotateAuthority({ requestId: "r" }, control.call("supervisor"));
    await expect(rotating).rejects.toMatchObject({ reason: "NOT_ALLOWED" });
    await supervisor.listAuthorities({}, control.call("supervisor"));
  });
});

const trustFile = () => readFile(join(dataDir, "trust.pem"), "utf8");
const operator = () => control.mesh.mesh("operator").client(CertificateService);

async function restart(): Promise<void> {
  const now = control.clock.now();
  await control.close();
  control = await startControl({ dataDir, now, joinDoor: true });
}

function key(): Buffer {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return publicKey.export({ type: "spki", format: "der" });
}

async function token(
  service: string,
  options: { readonly secret?: string; readonly ageMs?: number } = {},
): Promise<string> {
  const joinKey = deriveJoinKey(options.secret ?? JOIN_SECRET, service);
  const now = new Date(control.clock.now().getTime() - (options.ageMs ?? 0));
  return makeJoinToken({ key: joinKey, service, id: crypto.randomUUID(), now });
}

function joinAs(given: string, publicKey: Buffer): Promise<IssuedCertificate> {
  return knock(control.door, { token: given, publicKey }, new AbortController().signal);
}

/** Asks at the join door for something else. */
async function askAtDoor<Request>(
  { path, requestSerialize }: { readonly path: string; readonly requestSerialize: (request: Request) => Buffer },
  request: Request,
): Promise<unknown> {
  const trusted = await readFile(control.door.trustFile);
  const options = { "grpc.ssl_target_name_override": "control" };
  const checkServerIdentity = (): undefined => undefined;
  const secure = credentials.createSsl(trusted, null, null, { checkServerIdentity });
  const client = new Client(control.door.address, secure, options);
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        (bytes) => bytes,
        request,
        (error, answer) => {
          if (error === null) resolve(answer);
          else reject(decodeFailure(error, "control"));
        },
      );
    });
  } finally {
    client.close();
  }
}

async function renew(service: string): Promise<IssuedCertificate> {
  const client = control.mesh.mesh(service).client(CertificateService);
  return present((await client.renewCertificate({ publicKey: key() }, control.call(service))).certificate);
}

async function rotate(): Promise<void> {
  await operator().rotateAuthority({ requestId: crypto.randomUUID() }, control.call("operator"));
}

async function states(): Promise<readonly AuthorityState[]> {
  const { authorities } = await operator().listAuthorities({}, control.call("operator"));
  return authorities.map(({ state }) => state);
}

function isSignedBy({ certificate }: IssuedCertificate, authority = ""): boolean {
  return new X509Certificate(certificate).verify(new X509Certificate(authority).publicKey);
}

function present(certificate: IssuedCertificate | undefined): IssuedCertificate {
  if (certificate === undefined) throw new Error("no certificate came");
  return certificate;
}
