import { randomUUID } from "node:crypto";
import { decodeJwt, importJWK, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { Role } from "#gen/shop/identity/v1/session.ts";
import { newId } from "#mesh/ids.ts";
import { testDatabase } from "#testing/postgres.ts";
import { openSigner } from "./signing-keys.ts";
import { type IdentityShop, opened, PASSWORD, peopleOf, someone, startIdentity } from "./testing/identity.ts";

let shop: IdentityShop;
const { as, identity, refresh, signIn, signUp } = peopleOf(() => shop);

beforeAll(async () => {
  shop = await startIdentity();
});

afterAll(() => shop.close());

describe("tokens", () => {
  test("are signed with a published key and tell who it is", async () => {
    const { userId, session, tokens } = opened(await signUp(someone()));
    const { keys } = await identity().getSigningKeys({}, shop.mesh.call());
    const [key] = keys;
    if (key === undefined) throw new Error("no key is published");
    const publicKey = await importJWK({ kty: "OKP", crv: key.curve, x: key.x }, "EdDSA");
    const { payload, protectedHeader } = await jwtVerify(tokens.accessToken, publicKey, {
      issuer: "shopmesh",
      audience: "shopmesh",
      currentDate: shop.clock.now(),
    });
    expect(protectedHeader).toMatchObject({ alg: "EdDSA", kid: key.keyId });
    expect(payload).toMatchObject({ sub: userId, kind: "customer", roles: [], sid: session.id });
    expect(payload.exp).toBe(Math.floor((tokens.accessTokenExpireTime?.getTime() ?? 0) / 1_000));
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(900);
  });

  test("stand in no table, nor do passwords, nor a plain digest of one", async () => {
    const password = `secret-${randomUUID()}`;
    const { tokens } = opened(await signUp(someone(), randomUUID(), password));
    const tables = await shop.database.db.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'public'",
    );
    expect(tables.length).toBeGreaterThan(4);
    for (const { name } of tables) {
      const rows = await shop.database.db.session().then(async (session) => {
        try {
          return await session.query<{ row: string }>(`select t::text as row from "${name}" t`);
        } finally {
          await session.close();
        }
      });
      const text = rows.map(({ row }) => row).join("\n");
      for (const secret of [password, tokens.accessToken, tokens.refreshToken]) expect(text).not.toContain(secret);
    }
    expect(JSON.stringify(shop.mesh.logs)).not.toContain(password);
    expect(JSON.stringify(shop.mesh.logs)).not.toContain(tokens.refreshToken);
  });
});

describe("signing up and in", () => {
  test("an address is taken once, in whatever letters, also by two at once", async () => {
    const email = someone();
    const results = await Promise.all([signUp(email), signUp(email.toUpperCase()), signUp(email)]);
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    for (const result of results) {
      if (!result.ok) expect(result.error).toMatchObject({ code: "ALREADY_EXISTS", reason: "EMAIL_TAKEN" });
    }
    expect((await signIn(email.toUpperCase())).ok).toBe(true);
  });

  test("a wrong password and an unknown address are told apart by nothing", async () => {
    const email = someone();
    await signUp(email);
    const [wrong, unknown] = [await signIn(email, "not the password"), await signIn(someone(), "not the password")];
    for (const result of [wrong, unknown]) {
      expect(result).toMatchObject({ ok: false, error: { code: "UNAUTHENTICATED", reason: "CREDENTIALS_INVALID" } });
    }
    expect(wrong.ok || unknown.ok || wrong.error.message === unknown.error.message).toBe(true);
  });

  test("a request that comes again opens nothing new, and its new tokens replace the old", async () => {
    const [email, requestId] = [someone(), randomUUID()];
    const results = await Promise.all(Array.from({ length: 10 }, () => signUp(email, requestId)));
    const all = results.map(opened);
    expect(new Set(all.map(({ userId }) => userId)).size).toBe(1);
    expect(new Set(all.map(({ session }) => session.id)).size).toBe(1);
    const refreshed = await Promise.all(all.map(({ tokens }) => refresh(tokens.refreshToken)));
    expect(refreshed.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test("a request that comes again with another password gets no tokens", async () => {
    const [email, requestId] = [someone(), randomUUID()];
    await signUp(email, requestId);
    const result = await signUp(email, requestId, "guessed password");
    expect(result).toMatchObject({ ok: false, error: { code: "INVALID_ARGUMENT", reason: "REQUEST_ID_REUSED" } });
  });

  test("a request whose tokens were used long since gets none either", async () => {
    const requestId = randomUUID();
    const guest = await identity().createGuest({ requestId }, shop.mesh.call());
    await refresh(guest.tokens?.refreshToken ?? "");
    const again = await identity().try.createGuest({ requestId }, shop.mesh.call());
    expect(again).toMatchObject({ ok: false, error: { reason: "REQUEST_ID_REUSED" } });
  });

  test.each([
    ["no address", { email: "nobody", password: PASSWORD }, ["email"]],
    ["a short password", { email: "a@example.org", password: "short" }, ["password"]],
    ["nothing at all", { email: "", password: "" }, ["email", "password"]],
  ])("%s is refused, naming the fields", async (_, fields, violations) => {
    const result = await identity().try.signUp({ requestId: randomUUID(), ...fields }, shop.mesh.call());
    if (result.ok) throw new Error("it was admitted");
    expect(result.error.code).toBe("INVALID_ARGUMENT");
    expect(result.error.violations.map(({ field }) => field)).toEqual(violations);
  });
});

describe("roles", () => {
  const operator = () => shop.mesh.mesh("operator");
  const grant = (user: { $case: "email" | "userId"; value: string }, role: Role = Role.SUPPORT) =>
    operator()
      .client(IdentityService)
      .try.grantRole(
        { requestId: newId("req"), user, role },
        operator().background({ name: "grant", timeoutMs: 5_000 }),
      );

  test("stand in the next access token", async () => {
    const email = someone();
    const { userId } = opened(await signUp(email));
    expect(await grant({ $case: "email", value: email.toUpperCase() })).toMatchObject({
      ok: true,
      value: { userId, roles: [Role.SUPPORT] },
    });
    expect(await grant({ $case: "userId", value: userId }, Role.ADMIN)).toMatchObject({
      value: { roles: [Role.ADMIN, Role.SUPPORT] },
    });
    const { tokens } = opened(await signIn(email));
    expect(decodeJwt(tokens.accessToken).roles).toEqual(["admin", "support"]);
  });

  test("are not for guests, nor for nobody", async () => {
    const guest = await identity().createGuest({ requestId: randomUUID() }, shop.mesh.call());
    expect(await grant({ $case: "userId", value: guest.userId })).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "USER_IS_GUEST" },
    });
    expect(await grant({ $case: "email", value: "nobody@example.org" })).toMatchObject({
      ok: false,
      error: { code: "NOT_FOUND", reason: "USER_NOT_FOUND" },
    });
  });

  test("that were revoked cannot be given back with a token from before", async () => {
    const email = someone();
    const { userId, session } = opened(await signUp(email));
    await grant({ $case: "email", value: email }, Role.ADMIN);
    const admin = () => shop.mesh.call({ user: { id: userId, sessionId: session.id, roles: ["admin"] } });
    const give = () =>
      identity().try.grantRole(
        { requestId: newId("req"), user: { $case: "userId", value: userId }, role: Role.ADMIN },
        admin(),
      );
    expect((await give()).ok).toBe(true);
    const revoked = await operator()
      .client(IdentityService)
      .revokeRole(
        { requestId: newId("req"), userId, role: Role.ADMIN },
        operator().background({ name: "revoke", timeoutMs: 5_000 }),
      );
    expect(revoked.roles).toEqual([]);
    expect(await give()).toMatchObject({ ok: false, error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" } });
  });

  test("cannot be given by a customer to themselves", async () => {
    const who = opened(await signUp(someone()));
    const request = {
      requestId: newId("req"),
      user: { $case: "userId", value: who.userId } as const,
      role: Role.ADMIN,
    };
    expect(await identity().try.grantRole(request, as(who))).toMatchObject({
      ok: false,
      error: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" },
    });
  });
});

test("instances that start at once sign with one key", async () => {
  const fresh = await testDatabase(new URL("./migrations/", import.meta.url));
  try {
    await Promise.all(Array.from({ length: 5 }, () => openSigner(fresh.db, shop.clock, newId)));
    const keys = await fresh.db.query("select id from signing_keys");
    expect(keys).toHaveLength(1);
  } finally {
    await fresh.close();
  }
});
