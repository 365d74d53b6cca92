import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { deriveJoinKey, MAX_JOIN_TOKEN_LIFETIME_MS, makeJoinToken, verifyJoinToken } from "./join-token.ts";

const secret = "11".repeat(32);
const now = new Date("2026-03-01T12:00:00.500Z");
const later = (ms: number): Date => new Date(now.getTime() + ms);

const cartKey = deriveJoinKey(secret, "cart");
const tokenOf = (changes: Partial<Parameters<typeof makeJoinToken>[0]> = {}): Promise<string> =>
  makeJoinToken({ key: cartKey, service: "cart", id: "jn_1", now, ...changes });

describe("a join key", () => {
  test("is the same each time, and another for each service and each secret", () => {
    expect(deriveJoinKey(secret, "cart")).toBe(cartKey);
    expect(cartKey).toMatch(/^[0-9a-f]{64}$/);
    expect(
      new Set([cartKey, deriveJoinKey(secret, "orders"), deriveJoinKey("22".repeat(32), "cart"), secret]).size,
    ).toBe(4);
  });

  test("is made by HKDF-SHA256 of the secret without salt, for `shopmesh join <service>`", () => {
    // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:1111… -kdfopt info:"shopmesh join cart" HKDF
    expect(cartKey).toBe("2581e654f572a55e62ef11b7da96d9a4db361a9274180d58fa46c2aec71ba893");
  });

  test.each(["", "11", "zz".repeat(32), "11".repeat(33)])("cannot be made of the secret %j", (malformed) => {
    expect(() => deriveJoinKey(malformed, "cart")).toThrow(TypeError);
    expect(() => tokenOf({ key: malformed })).toThrow(TypeError);
  });
});

describe("a join token", () => {
  test("says which service its bearer may become, its own name, and when to forget it", async () => {
    const claims = await verifyJoinToken(secret, await tokenOf(), now);
    expect(claims).toEqual({
      ok: true,
      value: { service: "cart", id: "jn_1", expireTime: new Date("2026-03-01T12:10:30Z") },
    });
  });

  test("is good for ten minutes at most, however long it was wanted for", async () => {
    const token = await tokenOf({ lifetimeMs: 24 * 60 * 60_000 });
    expect(await verifyJoinToken(secret, token, later(MAX_JOIN_TOKEN_LIFETIME_MS))).toMatchObject({ ok: true });
    expect(await verifyJoinToken(secret, token, later(MAX_JOIN_TOKEN_LIFETIME_MS + 31_000))).toMatchObject({
      ok: false,
    });
  });

  const seconds = Math.floor(now.getTime() / 1_000);
  const sign = (claims: Record<string, unknown>, key: string, header = "HS256"): Promise<string> => {
    return new SignJWT({ sub: "cart", aud: "shopmesh-join", jti: "1", iat: seconds, exp: seconds + 60, ...claims })
      .setProtectedHeader({ alg: header })
      .sign(new Uint8Array(Buffer.from(key, "hex")));
  };

  test("can be made by whoever holds the key of its service", async () => {
    expect(await verifyJoinToken(secret, await sign({}, cartKey), now)).toMatchObject({ ok: true });
  });

  test.each<[string, () => Promise<string>]>([
    ["names another service than its key is of", () => tokenOf({ service: "orders" })],
    ["was made with the secret itself", () => tokenOf({ key: secret })],
    ["was made for another mesh", () => tokenOf({ key: deriveJoinKey("22".repeat(32), "cart") })],
    ["has expired", () => tokenOf({ now: later(-MAX_JOIN_TOKEN_LIFETIME_MS - 31_000) })],
    ["claims a life longer than ten minutes", () => sign({ exp: seconds + 700 }, cartKey)],
    ["never expires", () => sign({ exp: undefined }, cartKey)],
    ["does not say when it was made", () => sign({ iat: undefined }, cartKey)],
    ["has no name", () => sign({ jti: undefined }, cartKey)],
    ["has an empty name", () => sign({ jti: "" }, cartKey)],
    ["names no service", () => sign({ sub: undefined }, cartKey)],
    ["names its service as a list", () => sign({ sub: ["cart"] }, cartKey)],
    ["was made an hour from now", () => sign({ iat: seconds + 3_600, exp: seconds + 3_660 }, cartKey)],
    ["expires when no time is any more", () => sign({ iat: 1e17, exp: 1e17 + 60 }, cartKey)],
    ["expires before it was made", () => sign({ iat: seconds + 29, exp: seconds + 1 }, cartKey)],
    ["names something that is no service", () => sign({ sub: "../cart" }, deriveJoinKey(secret, "../cart"))],
    ["is for another audience", () => sign({ aud: "shopmesh" }, cartKey)],
    ["is signed by another algorithm", () => sign({}, cartKey.repeat(2), "HS512")],
    ["claims to need no signature", async () => `eyJhbGciOiJub25lIn0.${(await tokenOf()).split(".")[1]}.`],
    ["was changed", async () => `${(await tokenOf()).slice(0, -4)}AAAA`],
    ["is none", async () => "none"],
    ["is too long", async () => `${await tokenOf()}${"A".repeat(2_000)}`],
  ])("is refused when it %s", async (_, make) => {
    expect(await verifyJoinToken(secret, await make(), now)).toMatchObject({ ok: false, error: expect.any(String) });
  });
});
