import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { expect, test } from "vitest";
import { createLogger } from "#mesh/telemetry/log.ts";
import { fakeClock } from "#testing/clock.ts";
import { createKeyRing } from "./key-ring.ts";
import { createUserTokens } from "./user-tokens.ts";

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const ours = await generateKeyPair("EdDSA", { extractable: true });
const theirs = await generateKeyPair("EdDSA", { extractable: true });
const ourJwk: JWK = { ...(await exportJWK(ours.publicKey)), kid: "ours" };

const claims = { kind: "customer", roles: ["support"], sid: "ses_1" };

interface TokenOptions {
  readonly claims?: Record<string, unknown>;
  readonly header?: { readonly alg: string; readonly kid?: string };
  readonly key?: CryptoKey;
  readonly issuer?: string;
  readonly audience?: string;
}

const clock = fakeClock();

function sign(options: TokenOptions = {}): Promise<string> {
  const now = Math.floor(clock.now().getTime() / 1_000);
  return new SignJWT(options.claims ?? claims)
    .setProtectedHeader(options.header ?? { alg: "EdDSA", kid: "ours" })
    .setIssuer(options.issuer ?? "shopmesh")
    .setAudience(options.audience ?? "shopmesh")
    .setSubject("usr_1")
    .setIssuedAt(now)
    .setExpirationTime(now + 900)
    .sign(options.key ?? ours.privateKey);
}

function tokensWith(keys: () => Promise<readonly JWK[]> = async () => [ourJwk]) {
  return createUserTokens(
    createKeyRing({ keys }, log, () => performance.now()),
    clock,
  );
}

test("tells whose token it is, at once from the second time on", async () => {
  const tokens = tokensWith();
  const token = await sign();
  const user = { id: "usr_1", kind: "customer", roles: ["support"], sessionId: "ses_1" };
  expect(await tokens.verify(token)).toEqual(user);
  expect(tokens.verify(token)).toEqual(user);
});

test.each<[string, () => Promise<string>]>([
  ["is signed with another key under our key's name", () => sign({ key: theirs.privateKey })],
  ["names a key that nobody knows", () => sign({ header: { alg: "EdDSA", kid: "unknown" } })],
  ["names no key", () => sign({ header: { alg: "EdDSA" } })],
  ["is meant for somebody else", () => sign({ audience: "another-shop" })],
  ["comes from somebody else", () => sign({ issuer: "another-shop" })],
  ["has no kind", () => sign({ claims: { roles: [], sid: "ses_1" } })],
  ["has a kind that is none", () => sign({ claims: { ...claims, kind: "root" } })],
  ["has roles that are no list of names", () => sign({ claims: { ...claims, roles: [7] } })],
  ["has no session", () => sign({ claims: { kind: "guest", roles: [] } })],
  ["was changed", async () => `${(await sign()).slice(0, -4)}AAAA`],
  ["claims to need no signature", async () => `eyJhbGciOiJub25lIn0.${(await sign()).split(".")[1]}.`],
  ["is none", async () => "none"],
  ["is longer than any of ours", async () => `${await sign()}${"A".repeat(5_000)}`],
])("refuses a token that %s", async (_, make) => {
  await expect(async () => tokensWith().verify(await make())).rejects.toMatchObject({
    code: "UNAUTHENTICATED",
    reason: "TOKEN_INVALID",
  });
});

test("tells an expired token, whether it was seen before or not", async () => {
  const tokens = tokensWith();
  const seen = await sign();
  const unseen = await sign({ claims: { ...claims, sid: "ses_2" } });
  await tokens.verify(seen);
  clock.advance(901_000);
  const expired = { code: "UNAUTHENTICATED", reason: "TOKEN_EXPIRED" };
  await expect(async () => tokens.verify(seen)).rejects.toMatchObject(expired);
  await expect(async () => tokens.verify(unseen)).rejects.toMatchObject(expired);
});

test("does not blame the token when the keys cannot be had", async () => {
  const tokens = tokensWith(() => Promise.reject(new Error("identity is down")));
  await expect(async () => tokens.verify(await sign())).rejects.toThrow("identity is down");
});
