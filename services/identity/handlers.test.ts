import { randomUUID } from "node:crypto";
import { decodeJwt, importJWK, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { SignInResponse } from "#gen/shop/identity/v1/identity_service.ts";
import { Role } from "#gen/shop/identity/v1/session.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { type TestDatabase, testDatabase } from "#testing/postgres.ts";
import { identityHandlers } from "./handlers.ts";
import { createPasswords } from "./passwords.ts";
import { openSigner } from "./signing-keys.ts";

const clock = fakeClock();
const PASSWORD = "correct horse battery";
let database: TestDatabase;
let shop: TestMesh;

beforeAll(async () => {
  database = await testDatabase(new URL("./migrations/", import.meta.url));
  const { db } = database;
  const passwords = await createPasswords(() => new Error("overloaded"));
  const signer = await openSigner(db, clock, newId);
  const deps = { db, clock, newId, passwords, signer };
  shop = await startTestMesh({ identity: () => [implement(IdentityService, identityHandlers(deps))] });
});

afterAll(async () => {
  await shop.close();
  await database.close();
});

const identity = () => shop.mesh("gateway").client(IdentityService);
const signUp = (email: string, requestId = randomUUID(), password = PASSWORD) =>
  identity().try.signUp({ requestId, email, password }, shop.call());
const signIn = (email: string, password = PASSWORD, requestId = randomUUID()) =>
  identity().try.signIn({ requestId, email, password }, shop.call());
const refresh = (refreshToken: string, requestId = randomUUID()) =>
  identity().try.refreshSession({ requestId, refreshToken }, shop.call());

function opened(result: { ok: true; value: SignInResponse } | { ok: false; error: Error }) {
  if (!result.ok) throw result.error;
  const { userId, session, tokens } = result.value;
  if (session === undefined || tokens === undefined) throw new Error("an answer without session or tokens");
  return { userId, session, tokens };
}

let people = 0;
function someone(): string {
  people += 1;
  return `person${people}@example.org`;
}

/** A call of the holder of a session: its own token is not trusted by this test's mesh, so it gets an equal one. */
function as({ userId, session }: { userId: string; session: { id: string } }): Call {
  return shop.call({ user: { id: userId, kind: "customer", sessionId: session.id } });
}

describe("tokens", () => {
  test("are signed with a published key and tell who it is", async () => {
    const { userId, session, tokens } = opened(await signUp(someone()));
    const { keys } = await identity().getSigningKeys({}, shop.call());
    const [key] = keys;
    if (key === undefined) throw new Error("no key is published");
    const publicKey = await importJWK({ kty: "OKP", crv: key.curve, x: key.x }, "EdDSA");
    const { payload, protectedHeader } = await jwtVerify(tokens.accessToken, publicKey, {
      issuer: "shopmesh",
      audience: "shopmesh",
      currentDate: clock.now(),
    });
    expect(protectedHeader).toMatchObject({ alg: "EdDSA", kid: key.keyId });
    expect(payload).toMatchObject({ sub: userId, kind: "customer", roles: [], sid: session.id });
    expect(payload.exp).toBe(Math.floor((tokens.accessTokenExpireTime?.getTime() ?? 0) / 1_000));
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(900);
  });

  test("stand in no table, nor do passwords, nor a plain digest of one", async () => {
    const password = `secret-${randomUUID()}`;
    const { tokens } = opened(await signUp(someone(), randomUUID(), password));
    const tables = await database.db.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'public'",
    );
    expect(tables.length).toBeGreaterThan(4);
    for (const { name } of tables) {
      const rows = await database.db.session().then(async (session) => {
        try {
          return await session.query<{ row: string }>(`select t::text as row from "${name}" t`);
        } finally {
          await session.close();
        }
      });
      const text = rows.map(({ row }) => row).join("\n");
      for (const secret of [password, tokens.accessToken, tokens.refreshToken]) expect(text).not.toContain(secret);
    }
    expect(JSON.stringify(shop.logs)).not.toContain(password);
    expect(JSON.stringify(shop.logs)).not.toContain(tokens.refreshToken);
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
    const guest = await identity().createGuest({ requestId }, shop.call());
    await refresh(guest.tokens?.refreshToken ?? "");
    const again = await identity().try.createGuest({ requestId }, shop.call());
    expect(again).toMatchObject({ ok: false, error: { reason: "REQUEST_ID_REUSED" } });
  });

  test.each([
    ["no address", { email: "nobody", password: PASSWORD }, ["email"]],
    ["a short password", { email: "a@example.org", password: "short" }, ["password"]],
    ["nothing at all", { email: "", password: "" }, ["email", "password"]],
  ])("%s is refused, naming the fields", async (_, fields, violations) => {
    const result = await identity().try.signUp({ requestId: randomUUID(), ...fields }, shop.call());
    if (result.ok) throw new Error("it was admitted");
    expect(result.error.code).toBe("INVALID_ARGUMENT");
    expect(result.error.violations.map(({ field }) => field)).toEqual(violations);
  });
});

describe("refreshing", () => {
  test("gives new tokens of the same session, and the old one is used up", async () => {
    const { session, tokens } = opened(await signUp(someone()));
    const first = await refresh(tokens.refreshToken);
    if (!first.ok) throw first.error;
    expect(first.value.session?.id).toBe(session.id);
    expect(first.value.tokens?.refreshToken).not.toBe(tokens.refreshToken);
  });

  test("a token that comes back after its use ends the session", async () => {
    const { tokens } = opened(await signUp(someone()));
    const next = await refresh(tokens.refreshToken);
    if (!next.ok) throw next.error;
    const stolen = await refresh(tokens.refreshToken);
    expect(stolen).toMatchObject({ ok: false, error: { code: "UNAUTHENTICATED", reason: "REFRESH_TOKEN_INVALID" } });
    expect(await refresh(next.value.tokens?.refreshToken ?? "")).toMatchObject({ ok: false });
  });

  test("a lost answer can be asked for again, and the lost token is worth nothing", async () => {
    const { tokens } = opened(await signUp(someone()));
    const requestId = randomUUID();
    const lost = await refresh(tokens.refreshToken, requestId);
    const again = await refresh(tokens.refreshToken, requestId);
    if (!lost.ok || !again.ok) throw new Error("it was refused");
    expect(await refresh(lost.value.tokens?.refreshToken ?? "")).toMatchObject({ ok: false });
    expect(await refresh(again.value.tokens?.refreshToken ?? "")).toMatchObject({ ok: true });
  });

  test("two at once with one token lead to one, and the session ends", async () => {
    const { tokens } = opened(await signUp(someone()));
    const results = await Promise.all([refresh(tokens.refreshToken), refresh(tokens.refreshToken)]);
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test("a token expires with its session, thirty days on", async () => {
    const { tokens } = opened(await signUp(someone()));
    clock.advance(30 * 86_400_000);
    expect(await refresh(tokens.refreshToken)).toMatchObject({ ok: false, error: { reason: "REFRESH_TOKEN_INVALID" } });
  });
});

describe("sessions", () => {
  test("are listed newest first, page by page, and end one by one", async () => {
    const email = someone();
    const first = opened(await signUp(email));
    for (let at = 0; at < 4; at += 1) await signIn(email);
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await identity().listSessions({ pageSize: 2, pageToken }, as(first));
      seen.push(...page.sessions.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen).toHaveLength(5);
    expect(new Set(seen).size).toBe(5);
    expect(seen.at(-1)).toBe(first.session.id);
    const sessionId = seen[0] ?? "";
    await identity().revokeSession({ requestId: newId("req"), sessionId }, as(first));
    const again = await identity().try.revokeSession({ requestId: newId("req"), sessionId }, as(first));
    expect(again).toMatchObject({ ok: false, error: { code: "NOT_FOUND", reason: "SESSION_NOT_FOUND" } });
  });

  test("of others cannot be ended", async () => {
    const [one, other] = [opened(await signUp(someone())), opened(await signUp(someone()))];
    const request = { requestId: newId("req"), sessionId: other.session.id };
    expect(await identity().try.revokeSession(request, as(one))).toMatchObject({
      ok: false,
      error: { code: "NOT_FOUND" },
    });
    expect(await refresh(other.tokens.refreshToken)).toMatchObject({ ok: true });
  });

  test("end with signing out", async () => {
    const { tokens, ...who } = opened(await signUp(someone()));
    await identity().signOut({ requestId: newId("req") }, as(who));
    expect(await refresh(tokens.refreshToken)).toMatchObject({ ok: false });
  });

  test("but the one that changes the password end with it", async () => {
    const email = someone();
    const here = opened(await signUp(email));
    const elsewhere = opened(await signIn(email));
    const change = (currentPassword: string, requestId = randomUUID()) =>
      identity().try.changePassword({ requestId, currentPassword, newPassword: "another long one" }, as(here));
    expect(await change("wrong")).toMatchObject({ ok: false, error: { reason: "CREDENTIALS_INVALID" } });
    const requestId = randomUUID();
    expect(await change(PASSWORD, requestId)).toMatchObject({ ok: true, value: { revokedSessions: 1 } });
    expect(await change(PASSWORD, requestId)).toMatchObject({ ok: true, value: { revokedSessions: 1 } });
    expect(await refresh(elsewhere.tokens.refreshToken)).toMatchObject({ ok: false });
    expect(await refresh(here.tokens.refreshToken)).toMatchObject({ ok: true });
    expect(await signIn(email)).toMatchObject({ ok: false });
    expect(await signIn(email, "another long one")).toMatchObject({ ok: true });
  });
});

describe("roles", () => {
  const operator = () => shop.mesh("operator");
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
    const guest = await identity().createGuest({ requestId: randomUUID() }, shop.call());
    expect(await grant({ $case: "userId", value: guest.userId })).toMatchObject({
      ok: false,
      error: { code: "FAILED_PRECONDITION", reason: "USER_IS_GUEST" },
    });
    expect(await grant({ $case: "email", value: "nobody@example.org" })).toMatchObject({
      ok: false,
      error: { code: "NOT_FOUND", reason: "USER_NOT_FOUND" },
    });
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
    await Promise.all(Array.from({ length: 5 }, () => openSigner(fresh.db, clock, newId)));
    const keys = await fresh.db.query("select id from signing_keys");
    expect(keys).toHaveLength(1);
  } finally {
    await fresh.close();
  }
});
