import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { Role } from "#gen/shop/identity/v1/session.ts";
import { newId } from "#mesh/ids.ts";
import { findTraces } from "#testing/traces.ts";
import { type IdentityShop, opened, PASSWORD, peopleOf, someone, startIdentity } from "./testing/identity.ts";

let shop: IdentityShop;
beforeAll(async () => {
  shop = await startIdentity();
});
afterAll(() => shop?.close());

const { as, identity, refresh, signIn, signUp } = peopleOf(() => shop);

const asService = (name: string) => ({
  client: shop.mesh.mesh(name).client(IdentityService),
  call: shop.mesh.mesh(name).background({ name: "test", timeoutMs: 20_000 }),
});

async function erase(customerId: string, requestId = newId("era")) {
  const { client, call } = asService("customers");
  return (await client.eraseCustomerData({ requestId, customerId }, call)).erasures;
}

async function exported(customerId: string) {
  const { client, call } = asService("customers");
  const records: { readonly kind: string; readonly value: unknown }[] = [];
  for await (const { record } of client.exportCustomerData({ customerId }, call)) {
    if (record !== undefined) records.push({ kind: record.kind, value: JSON.parse(record.json) });
  }
  return records;
}

const grant = (userId: string) => {
  const { client, call } = asService("operator");
  const user = { $case: "userId", value: userId } as const;
  return client.try.grantRole({ requestId: newId("req"), user, role: Role.SUPPORT }, call);
};

test("who somebody is and when they signed in is given out, and no secret", async () => {
  const email = someone();
  const { userId, session } = opened(await signUp(email));
  await grant(userId);
  opened(await signIn(email));
  const records = await exported(userId);
  expect(records.map(({ kind }) => kind)).toEqual([
    "user",
    "session",
    "session",
    "security_event",
    "security_event",
    "security_event",
  ]);
  expect(records[0]?.value).toMatchObject({ id: userId, kind: "customer", email, roles: ["support"] });
  expect(records[1]?.value).toMatchObject({ id: session.id, createTime: "2026-06-01T12:00:00.000Z" });
  expect(JSON.stringify(records)).not.toMatch(/password|hash|token/i);
  expect(await exported(newId("usr"))).toEqual([]);
});

test("nothing is left of somebody erased but their id, and nobody gets in as them", async () => {
  const email = someone();
  const requestId = randomUUID();
  const first = opened(await signUp(email, requestId));
  await grant(first.userId);
  const second = opened(await signIn(email));
  const home = "192.0.2.44";
  const device = second.deviceToken;
  for (const deviceToken of ["", device]) await signIn(email, "wrong password", { deviceToken, from: home });
  const wrong = { requestId: randomUUID(), currentPassword: "wrong password", newPassword: "another long password" };
  await identity().try.changePassword(wrong, as(second));
  const erasures = await erase(first.userId);
  expect(
    Object.fromEntries(erasures.map(({ place, erasedCount, leftCount }) => [place, [erasedCount, leftCount]])),
  ).toEqual({
    "identity.failed_attempts": [4n, 0n],
    "identity.users": [1n, 0n],
    "identity.user_roles": [1n, 0n],
    "identity.sessions": [2n, 0n],
    // Sign-up, the role, sign-in, two that failed, and a change of the password.
    "identity.security_events": [6n, 0n],
    // Sign-up, sign-in and the role.
    "identity.once_requests": [3n, 0n],
  });
  expect(await findTraces(shop.database.db, [email, home])).toEqual([]);
  const rows = await shop.database.db.query(`select email, password_hash from users where id = $1`, [first.userId]);
  expect(rows).toEqual([{ email: null, password_hash: null }]);

  expect(await signIn(email)).toMatchObject({ ok: false, error: { reason: "CREDENTIALS_INVALID" } });
  for (const { tokens } of [first, second]) {
    expect(await refresh(tokens.refreshToken)).toMatchObject({ ok: false, error: { reason: "REFRESH_TOKEN_INVALID" } });
  }
  const change = { requestId: randomUUID(), currentPassword: PASSWORD, newPassword: "another long password" };
  expect(await identity().try.changePassword(change, as(first))).toMatchObject({
    ok: false,
    error: { reason: "CREDENTIALS_INVALID" },
  });
  expect(await grant(first.userId)).toMatchObject({ ok: false, error: { reason: "USER_NOT_FOUND" } });
});

test("who signs up with the address of somebody erased is a new person, by the same request too", async () => {
  const email = someone();
  const requestId = randomUUID();
  const before = opened(await signUp(email, requestId));
  await erase(before.userId);
  const after = opened(await signUp(email, requestId));
  expect(after.userId).not.toBe(before.userId);
  expect(opened(await signIn(email)).userId).toBe(after.userId);
  await erase(before.userId);
  expect(opened(await signIn(email)).userId).toBe(after.userId);
});

test("a guest is erased as well", async () => {
  const guest = opened({
    ok: true,
    value: await identity().createGuest({ requestId: randomUUID() }, shop.mesh.call()),
  });
  await erase(guest.userId);
  expect(await refresh(guest.tokens.refreshToken)).toMatchObject({
    ok: false,
    error: { reason: "REFRESH_TOKEN_INVALID" },
  });
  expect(await exported(guest.userId)).toEqual([]);
});

test("of sign-ins and an erasure at once, no session is left that can be refreshed", async () => {
  for (let round = 0; round < 4; round += 1) {
    const email = someone();
    const { userId } = opened(await signUp(email));
    const requestId = newId("era");
    const results = await Promise.all([
      ...Array.from({ length: 4 }, () => signIn(email)),
      erase(userId, requestId).then(() => undefined),
    ]);
    // One that began before may have come after: asked again, it goes as well.
    const sessions = (await erase(userId, requestId)).find(({ place }) => place === "identity.sessions");
    expect(sessions).toMatchObject({ place: "identity.sessions", leftCount: 0n });
    for (const result of results) {
      if (result?.ok !== true) continue;
      const { tokens } = opened(result);
      expect(await refresh(tokens.refreshToken)).toMatchObject({ ok: false });
    }
  }
});
