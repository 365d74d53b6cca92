import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { SecurityEvent_Kind as Kind } from "#gen/shop/identity/v1/security_event.ts";
import { cutWhileHeld, holdLocks } from "#testing/locks.ts";
import { DEVICE_RULE, SOURCE_AT_ACCOUNT_RULE, SOURCE_RULE } from "./domain-attempts.ts";
import type { Passwords } from "./passwords.ts";
import { sweepCounts } from "./sweep.ts";
import {
  type IdentityShop,
  opened,
  PASSWORD,
  peopleOf,
  type SignInOptions,
  someone,
  startIdentity,
} from "./testing/identity.ts";

/** How often a password was really looked at; how long it takes is not the question here. */
let looks = 0;
const countedPasswords: Passwords = {
  hash: async (password) => `hash of ${password}`,
  verify: async (passwordHash, password) => {
    looks += 1;
    return passwordHash === `hash of ${password}`;
  },
};

let shop: IdentityShop;
beforeAll(async () => {
  shop = await startIdentity({ passwords: countedPasswords });
});
afterAll(() => shop?.close());

const { as, identity, signIn, signUp } = peopleOf(() => shop);

let hosts = 0;
/** An address from which nobody has called yet. */
function somewhere(): string {
  hosts += 1;
  return `198.51.${Math.floor(hosts / 250)}.${(hosts % 250) + 1}`;
}

const WRONG = { ok: false, error: { code: "UNAUTHENTICATED", reason: "CREDENTIALS_INVALID" } };
const TOO_MANY = { ok: false, error: { code: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_ATTEMPTS" } };

const reasonsOf = (results: readonly Awaited<ReturnType<typeof signIn>>[]) =>
  results.map((result) => (result.ok ? "in" : result.error.reason));
const times = (reasons: readonly string[], reason: string) => reasons.filter((one) => one === reason).length;
const wrong = (email: string, options?: SignInOptions) => signIn(email, "not the password", options);

async function wrongTimes(count: number, email: string, options?: SignInOptions): Promise<void> {
  for (let at = 0; at < count; at += 1) expect(await wrong(email, options)).toMatchObject(WRONG);
}

describe("an account", () => {
  test("lets an unknown source wait after its free tries, longer each time, with the right password too", async () => {
    const [email, from] = [someone(), somewhere()];
    await signUp(email);
    await wrongTimes(SOURCE_AT_ACCOUNT_RULE.free, email, { from });
    for (const seconds of [30, 60, 120]) {
      const refused = await signIn(email, PASSWORD, { from });
      expect(refused).toMatchObject(TOO_MANY);
      expect(refused.ok || refused.error.retryDelayMs).toBe(seconds * 1_000);
      shop.clock.advance(seconds * 1_000);
      await wrongTimes(1, email, { from });
    }
    shop.clock.advance(240_000);
    expect(await signIn(email, PASSWORD, { from })).toMatchObject({ ok: true });
    await wrongTimes(SOURCE_AT_ACCOUNT_RULE.free, email, { from });
  });

  test("does not look at a password that comes too early", async () => {
    const [email, from] = [someone(), somewhere()];
    await wrongTimes(SOURCE_AT_ACCOUNT_RULE.free, email, { from });
    const before = looks;
    for (let at = 0; at < 10; at += 1) expect(await wrong(email, { from })).toMatchObject(TOO_MANY);
    expect(looks).toBe(before);
  });

  test("lets its owner in from a known device, whatever others do, and from no other", async () => {
    const [email, home] = [someone(), somewhere()];
    const { deviceToken } = opened(await signUp(email));
    // From everywhere, until everybody has to wait.
    let refused = 0;
    for (let at = 0; at < 60; at += 1) {
      const result = await wrong(email, { from: somewhere() });
      if (!result.ok && result.error.reason === "TOO_MANY_ATTEMPTS") refused += 1;
    }
    expect(refused).toBe(10);
    expect(await signIn(email, PASSWORD, { from: home })).toMatchObject(TOO_MANY);
    expect(await signIn(email, PASSWORD, { from: home, deviceToken })).toMatchObject({ ok: true });
    const stranger = opened(await signUp(someone()));
    const foreign = { from: home, deviceToken: stranger.deviceToken };
    expect(await signIn(email, PASSWORD, foreign)).toMatchObject(TOO_MANY);
    expect(await signIn(email, PASSWORD, { from: home, deviceToken: `${deviceToken}x` })).toMatchObject(TOO_MANY);
  });

  test("bounds a known device as well, which then keeps no other one out", async () => {
    const email = someone();
    const { deviceToken } = opened(await signUp(email));
    await wrongTimes(DEVICE_RULE.free, email, { deviceToken });
    expect(await signIn(email, PASSWORD, { deviceToken })).toMatchObject(TOO_MANY);
    const other = opened(await signIn(email, PASSWORD, { from: somewhere() }));
    expect(await signIn(email, PASSWORD, { deviceToken: other.deviceToken })).toMatchObject({ ok: true });
  });

  test("knows no device from before its password changed but the one that changed it", async () => {
    const email = someone();
    const here = opened(await signUp(email));
    const change = { requestId: randomUUID(), currentPassword: PASSWORD, newPassword: "another long one" };
    const { deviceToken } = await identity().changePassword(change, as(here));
    const from = somewhere();
    await wrongTimes(SOURCE_AT_ACCOUNT_RULE.free, email, { from });
    const late = { from, deviceToken: here.deviceToken };
    expect(await signIn(email, "another long one", late)).toMatchObject(TOO_MANY);
    expect(await signIn(email, "another long one", { from, deviceToken })).toMatchObject({ ok: true });
  });

  test("that nobody has is told apart by nothing, before and after", async () => {
    const [known, unknown, erased] = [someone(), someone(), someone()];
    await signUp(known);
    const { userId } = opened(await signUp(erased));
    const customers = shop.mesh.mesh("customers");
    const request = { requestId: randomUUID(), customerId: userId };
    const call = customers.background({ name: "erase", timeoutMs: 10_000 });
    await customers.client(IdentityService).eraseCustomerData(request, call);
    const answers = [];
    for (const email of [known, unknown, erased]) {
      const [from, before] = [somewhere(), looks];
      const results = [];
      for (let at = 0; at < SOURCE_AT_ACCOUNT_RULE.free + 3; at += 1) results.push(await wrong(email, { from }));
      answers.push({
        looks: looks - before,
        results: results.map((result) => result.ok || [result.error.message, result.error.retryDelayMs]),
      });
    }
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });
});

describe("at once", () => {
  test("fifty tries are answered no oftener than fifty in turn", async () => {
    const [email, from] = [someone(), somewhere()];
    await signUp(email);
    const reasons = reasonsOf(await Promise.all(Array.from({ length: 50 }, () => wrong(email, { from }))));
    expect(times(reasons, "CREDENTIALS_INVALID")).toBe(SOURCE_AT_ACCOUNT_RULE.free);
    expect(times(reasons, "TOO_MANY_ATTEMPTS")).toBe(50 - SOURCE_AT_ACCOUNT_RULE.free);
    shop.clock.advance(30_000);
    const again = reasonsOf(await Promise.all(Array.from({ length: 50 }, () => wrong(email, { from }))));
    expect(times(again, "CREDENTIALS_INVALID")).toBe(1);
  });

  test("tries from fifty sources at one account come to an end, and leave no lock behind", async () => {
    const email = someone();
    const tries = Array.from({ length: 80 }, () => wrong(email, { from: somewhere() }));
    const reasons = reasonsOf(await Promise.all(tries));
    expect(times(reasons, "CREDENTIALS_INVALID")).toBe(50);
    expect(times(reasons, "TOO_MANY_ATTEMPTS")).toBe(30);
  });

  test("fifty with the right password all get in, and count nothing", async () => {
    const [email, from] = [someone(), somewhere()];
    await signUp(email);
    const reasons = reasonsOf(await Promise.all(Array.from({ length: 50 }, () => signIn(email, PASSWORD, { from }))));
    expect(new Set(reasons)).toEqual(new Set(["in"]));
    await wrongTimes(SOURCE_AT_ACCOUNT_RULE.free, email, { from });
  });

  test("a try that is cut off half-way tells nothing and counts nothing", async () => {
    const [email, from] = [someone(), somewhere()];
    await signUp(email);
    const { db } = shop.database;
    const held = await holdLocks(db, "lock table security_events in access exclusive mode");
    // The connection ends with the count made and not committed; the gateway's second attempt is answered.
    expect(await cutWhileHeld(db, held, { begin: () => wrong(email, { from }) })).toMatchObject(WRONG);
    await wrongTimes(SOURCE_AT_ACCOUNT_RULE.free - 1, email, { from });
    expect(await wrong(email, { from })).toMatchObject(TOO_MANY);
  });
});

describe("one source", () => {
  test("that tries one password at many accounts is slowed, and shuts nobody out for long", async () => {
    const [email, from] = [someone(), somewhere()];
    const { deviceToken } = opened(await signUp(email));
    for (let at = 0; at < SOURCE_RULE.free; at += 1) await wrongTimes(1, someone(), { from });
    expect(await wrong(someone(), { from })).toMatchObject(TOO_MANY);
    expect(await signIn(email, PASSWORD, { from, deviceToken })).toMatchObject({ ok: true });
    expect(await signIn(email, PASSWORD, { from: somewhere() })).toMatchObject({ ok: true });
    shop.clock.advance(SOURCE_RULE.firstDelayMs);
    expect(await signIn(email, PASSWORD, { from })).toMatchObject({ ok: true });
  });

  test("learns of as many addresses that they are taken, and no more", async () => {
    const [email, from] = [someone(), somewhere()];
    await signUp(email);
    const up = () =>
      identity().try.signUp(
        { requestId: randomUUID(), email, password: PASSWORD },
        shop.mesh.call({ clientAddress: from }),
      );
    const results = await Promise.all(Array.from({ length: SOURCE_RULE.free + 20 }, up));
    const reasons = results.map((result) => (result.ok ? "in" : result.error.reason));
    expect(times(reasons, "EMAIL_TAKEN")).toBe(SOURCE_RULE.free);
    expect(times(reasons, "TOO_MANY_ATTEMPTS")).toBe(20);
  });

  test("is all that begins like an IPv6 address", async () => {
    const email = someone();
    await signUp(email);
    for (let at = 0; at < SOURCE_AT_ACCOUNT_RULE.free; at += 1) {
      await wrongTimes(1, email, { from: `2001:db8:7:7::${at}` });
    }
    expect(await signIn(email, PASSWORD, { from: "2001:db8:7:7:1:2:3:4" })).toMatchObject(TOO_MANY);
    expect(await signIn(email, PASSWORD, { from: "2001:db8:7:8::1" })).toMatchObject({ ok: true });
  });
});

test("a stolen token of a session has few tries at the password, and the owner goes on elsewhere", async () => {
  const email = someone();
  const stolen = opened(await signUp(email));
  const change = (currentPassword: string, who = stolen) =>
    identity().try.changePassword(
      { requestId: randomUUID(), currentPassword, newPassword: "another long one" },
      as(who),
    );
  const results = await Promise.all(Array.from({ length: 20 }, (_, at) => change(`guess ${at}`)));
  const reasons = results.map((result) => (result.ok ? "changed" : result.error.reason));
  expect(times(reasons, "CREDENTIALS_INVALID")).toBe(5);
  expect(times(reasons, "TOO_MANY_ATTEMPTS")).toBe(15);
  expect(await change(PASSWORD)).toMatchObject(TOO_MANY);
  const owner = opened(await signIn(email));
  expect(await change(PASSWORD, owner)).toMatchObject({ ok: true });
});

test("a sign-up that comes again is no way around the count", async () => {
  const [email, requestId] = [someone(), randomUUID()];
  await signUp(email, requestId);
  const guesses = Array.from({ length: 20 }, (_, at) => signUp(email, requestId, `guess number ${at}`));
  const reasons = (await Promise.all(guesses)).map((result) => (result.ok ? "in" : result.error.reason));
  expect(times(reasons, "REQUEST_ID_REUSED")).toBe(SOURCE_AT_ACCOUNT_RULE.free);
  expect(times(reasons, "TOO_MANY_ATTEMPTS")).toBe(20 - SOURCE_AT_ACCOUNT_RULE.free);
});

test("what is written of a flood of failures is bounded, names no address that was tried, and says who was blocked", async () => {
  const email = someone();
  const owner = opened(await signUp(email));
  for (let at = 0; at < 60; at += 1) await wrong(email, { from: somewhere() });
  for (let at = 0; at < 10; at += 1) await wrong(email, { deviceToken: owner.deviceToken });
  const mine = { userId: "", pageSize: 100, pageToken: "" };
  const { events } = await identity().listSecurityEvents(mine, as(owner));
  const kinds = events.map(({ kind }) => kind);
  expect(kinds.filter((kind) => kind === Kind.SIGN_IN_FAILED)).toHaveLength(49 + 9);
  expect(kinds.filter((kind) => kind === Kind.SIGN_IN_BLOCKED)).toHaveLength(2);
  expect(events.filter(({ knownDevice }) => knownDevice)).toHaveLength(10);
  const [row] = await shop.database.db.query<{ count: bigint }>(
    "select count(*) as count from security_events where user_id is null or user_id = ''",
  );
  expect(row?.count).toBe(0n);
});

test("counts that have drained off are forgotten, and of the others the surplus", async () => {
  const { db } = shop.database;
  const many = async () => {
    const [row] = await db.query<{ count: bigint }>("select count(*) as count from failed_attempts");
    return Number(row?.count);
  };
  shop.clock.advance(7 * 24 * 3_600_000);
  const { signal } = new AbortController();
  await sweepCounts(shop.deps, 100, signal);
  expect(await many()).toBe(0);
  const from = somewhere();
  for (let at = 0; at < 6; at += 1) await wrongTimes(1, someone(), { from });
  expect(await many()).toBe(13);
  await sweepCounts(shop.deps, 5, signal);
  expect(await many()).toBe(5);
});
