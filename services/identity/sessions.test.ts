import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SecurityEvent_Kind } from "#gen/shop/identity/v1/security_event.ts";
import { newId } from "#mesh/ids.ts";
import { cutWhileHeld, holdLocks } from "#testing/locks.ts";
import { REFRESH_GRACE_MS } from "./domain.ts";
import { type IdentityShop, opened, PASSWORD, peopleOf, someone, startIdentity } from "./testing/identity.ts";

let shop: IdentityShop;
const { as, identity, refresh, signIn, signUp } = peopleOf(() => shop);

beforeAll(async () => {
  shop = await startIdentity();
});

afterAll(() => shop.close());

function refreshTokenOf(result: Awaited<ReturnType<typeof refresh>>): string {
  if (!result.ok) throw result.error;
  return result.value.tokens?.refreshToken ?? "";
}

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

  test("a lost answer can be asked for again, and again, and holds the same refresh token", async () => {
    const { tokens } = opened(await signUp(someone()));
    const requestId = randomUUID();
    const answers = await Promise.all(Array.from({ length: 5 }, () => refresh(tokens.refreshToken, requestId)));
    const made = new Set(answers.map(refreshTokenOf));
    expect(made.size).toBe(1);
    // Copies that come late take nothing from whoever had the first answer.
    const [token = ""] = made;
    const next = refreshTokenOf(await refresh(token));
    expect(await refresh(next)).toMatchObject({ ok: true });
  });

  test("a request that comes again ten minutes later ends the session", async () => {
    const { tokens } = opened(await signUp(someone()));
    const requestId = randomUUID();
    const next = refreshTokenOf(await refresh(tokens.refreshToken, requestId));
    shop.clock.advance(REFRESH_GRACE_MS);
    expect(await refresh(tokens.refreshToken, requestId)).toMatchObject({ ok: false });
    expect(await refresh(next)).toMatchObject({ ok: false });
  });

  test("a thief with the whole request has what its maker has, and the second of them to use it ends the session", async () => {
    for (const thiefComes of ["first", "second"]) {
      const { userId, session, tokens } = opened(await signUp(someone()));
      const requestId = randomUUID();
      const ours = refreshTokenOf(await refresh(tokens.refreshToken, requestId));
      const stolen = refreshTokenOf(await refresh(tokens.refreshToken, requestId));
      const [first, second] = thiefComes === "first" ? [stolen, ours] : [ours, stolen];
      const won = refreshTokenOf(await refresh(first));
      expect(await refresh(second)).toMatchObject({ ok: false, error: { reason: "REFRESH_TOKEN_INVALID" } });
      expect(await refresh(won)).toMatchObject({ ok: false, error: { reason: "REFRESH_TOKEN_INVALID" } });
      const { events } = await identity().listSecurityEvents(
        { userId: "", pageSize: 1, pageToken: "" },
        as({ userId, session }),
      );
      expect(events).toMatchObject([{ kind: SecurityEvent_Kind.REFRESH_TOKEN_REUSED, sessionId: session.id }]);
    }
  });

  test("a refresh that is cut off half-way leaves the token as it was", async () => {
    const { tokens } = opened(await signUp(someone()));
    const { db } = shop.database;
    const held = await holdLocks(db, "lock table refresh_tokens in exclusive mode");
    const begin = () => refresh(tokens.refreshToken);
    const next = refreshTokenOf(await cutWhileHeld(db, held, { begin }));
    expect(await refresh(next)).toMatchObject({ ok: true });
  });

  test("two at once with one token lead to one, and the session ends", async () => {
    const { tokens } = opened(await signUp(someone()));
    const results = await Promise.all([refresh(tokens.refreshToken), refresh(tokens.refreshToken)]);
    const won = results.filter(({ ok }) => ok);
    expect(won).toHaveLength(1);
    for (const result of won) expect(await refresh(refreshTokenOf(result))).toMatchObject({ ok: false });
  });

  test("a token expires with its session, thirty days on", async () => {
    const { tokens } = opened(await signUp(someone()));
    shop.clock.advance(30 * 86_400_000);
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

test("whoever signs in with the old password while it is being changed is left without a session", async () => {
  const email = someone();
  const here = opened(await signUp(email));
  const attempts = Array.from({ length: 12 }, () => signIn(email));
  const requestId = randomUUID();
  const changed = identity().try.changePassword(
    { requestId, currentPassword: PASSWORD, newPassword: "another long one" },
    as(here),
  );
  const more = Array.from({ length: 12 }, () => signIn(email));
  expect((await changed).ok).toBe(true);
  const results = await Promise.all([...attempts, ...more]);
  for (const result of results) {
    if (result.ok) expect(await refresh(result.value.tokens?.refreshToken ?? "")).toMatchObject({ ok: false });
    // Refused, or let in and out again before it had its tokens.
    else expect(["CREDENTIALS_INVALID", "REQUEST_ID_REUSED"]).toContain(result.error.reason);
  }
  expect(await refresh(here.tokens.refreshToken)).toMatchObject({ ok: true });
});
