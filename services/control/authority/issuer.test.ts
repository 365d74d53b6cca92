import { type createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { type AuthorityKey, CLOCK_SKEW_MS } from "./domain.ts";
import { type LeafInit, makeAuthority, signLeaf, usableKey } from "./issuer.ts";

const now = new Date("2026-11-22T12:00:00Z");
const HOUR_MS = 3_600_000;
let authority: AuthorityKey;

beforeAll(async () => {
  authority = await makeAuthority(1, now);
});

describe("a leaf", () => {
  test("is signed by the authority, for one name and both sides of a connection", async () => {
    const { certificate, expireTime } = await signLeaf(authority, leaf());
    const read = new X509Certificate(certificate);
    const root = new X509Certificate(authority.certificate);
    expect(read.checkIssued(root) && read.verify(root.publicKey)).toBe(true);
    expect(read.subjectAltName).toBe("URI:spiffe://shopmesh/cart");
    expect(read.subject).toBe(undefined);
    expect(read.ca).toBe(false);
    // serverAuth and clientAuth
    expect(read.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    expect(new Date(read.validFrom)).toEqual(new Date(now.getTime() - CLOCK_SKEW_MS));
    expect(new Date(read.validTo)).toEqual(expireTime);
    expect(expireTime).toEqual(new Date(now.getTime() + HOUR_MS));
  });

  test("has a serial number of its own, that cannot be guessed", async () => {
    const leaves = await Promise.all([1, 2, 3, 4].map(() => signLeaf(authority, leaf())));
    const numbers = leaves.map(({ certificate }) => new X509Certificate(certificate).serialNumber);
    expect(new Set(numbers).size).toBe(4);
    for (const number of numbers) expect(number).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  test("never outlives its authority", async () => {
    const late = new Date(authority.expireTime.getTime() - 1_000);
    const { expireTime } = await signLeaf(authority, { ...leaf(), now: late });
    expect(expireTime).toEqual(authority.expireTime);
  });

  test("cannot be had from an authority whose key is gone", async () => {
    await expect(signLeaf({ ...authority, privateKey: undefined }, leaf())).rejects.toThrow("signs no more");
  });
});

test("an authority signs leaves and no further authorities", () => {
  const root = new X509Certificate(authority.certificate);
  expect(root.ca && root.verify(root.publicKey)).toBe(true);
  expect(root.fingerprint256.replaceAll(":", "").toLowerCase()).toBe(authority.fingerprint);
});

describe("what can be certified", () => {
  const der = (key: ReturnType<typeof createPublicKey>) => key.export({ type: "spki", format: "der" });

  test("is a key on P-256, as it is and without what comes along", () => {
    const key = der(p256());
    expect(usableKey(key)).toEqual(key);
    expect(usableKey(Buffer.concat([key, Buffer.from("and more")])) ?? key).toEqual(key);
  });

  test.each([
    ["another curve", () => der(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey)],
    ["RSA", () => der(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey)],
    ["Ed25519", () => der(generateKeyPairSync("ed25519").publicKey)],
    ["half a key", () => der(p256()).subarray(0, 40)],
    ["a point that is not on the curve", () => Buffer.concat([der(p256()).subarray(0, -1), Buffer.from([7])])],
    ["anything else", () => Buffer.from("a key")],
  ])("is not %s", (_, make) => {
    expect(usableKey(make())).toBe(undefined);
  });
});

function p256(): ReturnType<typeof createPublicKey> {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
}

function leaf(): LeafInit {
  const publicKey = usableKey(p256().export({ type: "spki", format: "der" }));
  if (publicKey === undefined) throw new Error("a key on P-256 is usable");
  return { service: "cart", publicKey, now, lifetimeMs: HOUR_MS };
}
