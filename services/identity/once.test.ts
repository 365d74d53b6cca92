import { afterAll, beforeAll } from "vitest";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { Role, type Session } from "#gen/shop/identity/v1/session.ts";
import { newId } from "#mesh/ids.ts";
import { anonymous, type Caller, person, testOnce, workload } from "#testing/once.ts";
import type { Passwords } from "./passwords.ts";
import { PUBLISH_AHEAD_MS } from "./signing-keys.ts";
import { listRoles } from "./store.ts";
import { type IdentityShop, opened, PASSWORD, peopleOf, someone, startIdentity } from "./testing/identity.ts";

/** Fifty copies make a hundred hashes, and how long those take is not the question here. */
const quickPasswords: Passwords = {
  hash: async (password) => `hash of ${password}`,
  verify: async (passwordHash, password) => passwordHash === `hash of ${password}`,
};

let shop: IdentityShop;
beforeAll(async () => {
  shop = await startIdentity({ passwords: quickPasswords });
});
afterAll(() => shop?.close());

const { signIn, signUp } = peopleOf(() => shop);
const db = () => shop.database.db;

async function count(sql: string, ...values: readonly unknown[]): Promise<number> {
  const [row] = await db().query<{ count: bigint }>(`select count(*) as count from ${sql}`, values);
  return Number(row?.count);
}

/** How many users and sessions have been added from now on. */
async function growth(): Promise<() => Promise<{ users: number; sessions: number }>> {
  const [users, sessions] = [await count("users"), await count("sessions")];
  return async () => ({ users: (await count("users")) - users, sessions: (await count("sessions")) - sessions });
}

const openSessions = (userId: string) => count("sessions where user_id = $1 and revoke_time is null", userId);

async function emailOf(userId: string | undefined): Promise<string> {
  const [row] = await db().query<{ email: string }>("select email from users where id = $1", [userId]);
  return row?.email ?? "";
}

interface SignedIn {
  readonly userId: string;
  readonly session: Session | undefined;
}
/** The tokens of each answer are new, and the last ones count. */
const withoutTokens = ({ userId, session }: SignedIn) => ({ userId, session });

const anyone = () => [anonymous, person()] as const;

/** Somebody who has signed up, with the session that was opened then. */
async function member(email = someone()): Promise<Caller & { readonly user: { readonly id: string } }> {
  const { userId, session } = opened(await signUp(email));
  return { workload: "gateway", user: { id: userId, kind: "customer", sessionId: session.id, roles: [] } };
}
const members = async () => [await member(), await member()] as const;

const operator = () => shop.mesh.mesh("operator");
const operatorCall = () => operator().background({ name: "test", timeoutMs: 10_000 });
const grant = (userId: string, role: Role) =>
  operator()
    .client(IdentityService)
    .grantRole({ requestId: newId("req"), user: { $case: "userId", value: userId }, role }, operatorCall());
const revoke = (userId: string, role: Role) =>
  operator()
    .client(IdentityService)
    .revokeRole({ requestId: newId("req"), userId, role }, operatorCall());

async function staff() {
  const admin = await member();
  await grant(admin.user.id, Role.ADMIN);
  return [workload("operator"), { ...admin, user: { ...admin.user, roles: ["admin"] } }] as const;
}

testOnce(IdentityService, () => shop.mesh, {
  createGuest: {
    callers: anyone,
    answer: withoutTokens,
    prepare: async (_, requestId) => ({
      request: { requestId },
      effect: await growth(),
      once: { users: 1, sessions: 1 },
    }),
  },
  signUp: {
    callers: anyone,
    answer: withoutTokens,
    prepare: async (_, requestId) => {
      const request = { requestId, email: someone(), password: PASSWORD };
      return {
        request,
        other: () => ({ ...request, email: someone() }),
        effect: await growth(),
        once: { users: 1, sessions: 1 },
      };
    },
  },
  signIn: {
    callers: anyone,
    answer: withoutTokens,
    prepare: async (_, requestId) => {
      const [email, another] = [someone(), someone()];
      await signUp(email);
      await signUp(another);
      const request = { requestId, email, password: PASSWORD, deviceToken: "" };
      return {
        request,
        other: () => ({ ...request, email: another }),
        effect: await growth(),
        once: { users: 0, sessions: 1 },
      };
    },
  },
  refreshSession: {
    // Whose id it is tells the session.
    callers: () => [anonymous, anonymous],
    answer: ({ session }) => session,
    prepare: async (_, requestId) => {
      const { session, tokens } = opened(await signUp(someone()));
      return {
        request: { requestId, refreshToken: tokens.refreshToken },
        other: ({ tokens: next }) => ({ requestId, refreshToken: next?.refreshToken ?? "" }),
        effect: () =>
          db().query("select generation, revoke_time is not null as revoked from sessions where id = $1", [session.id]),
        once: [{ generation: 1, revoked: false }],
      };
    },
  },
  signOut: {
    callers: members,
    prepare: async ({ user }, requestId) => ({
      request: { requestId },
      effect: () => openSessions(user?.id ?? ""),
      once: 0,
    }),
  },
  changePassword: {
    callers: members,
    // The device's token is made anew.
    answer: ({ revokedSessions }) => revokedSessions,
    prepare: async ({ user }, requestId) => {
      const email = await emailOf(user?.id);
      await signIn(email);
      const request = { requestId, currentPassword: PASSWORD, newPassword: "another battery" };
      return {
        request,
        other: () => ({ ...request, newPassword: "a third battery" }),
        meanwhile: () => signIn(email, "another battery"),
        effect: async () => ({
          password: await db().query("select password_hash from users where id = $1", [user?.id]),
          sessions: await openSessions(user?.id ?? ""),
        }),
        once: { password: [{ password_hash: "hash of another battery" }], sessions: 1 },
      };
    },
  },
  revokeSession: {
    callers: members,
    prepare: async ({ user }, requestId) => {
      const email = await emailOf(user?.id);
      const [second, third] = [opened(await signIn(email)), opened(await signIn(email))];
      const request = { requestId, sessionId: second.session.id };
      return {
        request,
        other: () => ({ ...request, sessionId: third.session.id }),
        effect: () => openSessions(user?.id ?? ""),
        once: 2,
      };
    },
  },
  grantRole: {
    callers: staff,
    prepare: async (_, requestId) => {
      const { user } = await member();
      const request = { requestId, user: { $case: "userId", value: user.id }, role: Role.SUPPORT } as const;
      return {
        request,
        other: () => ({ ...request, role: Role.COURIER }),
        meanwhile: () => revoke(user.id, Role.SUPPORT),
        effect: () => listRoles(db(), user.id),
        once: ["support"],
      };
    },
  },
  revokeRole: {
    callers: staff,
    prepare: async (_, requestId) => {
      const { user } = await member();
      await grant(user.id, Role.SUPPORT);
      await grant(user.id, Role.COURIER);
      const request = { requestId, userId: user.id, role: Role.SUPPORT };
      return {
        request,
        other: () => ({ ...request, role: Role.COURIER }),
        meanwhile: () => grant(user.id, Role.SUPPORT),
        effect: () => listRoles(db(), user.id),
        once: ["courier"],
      };
    },
  },
  rotateSigningKey: {
    callers: () => [workload("operator")],
    prepare: async (_, requestId) => {
      // The key of the case before signs by then.
      shop.clock.advance(PUBLISH_AHEAD_MS);
      const before = await count("signing_keys");
      return {
        request: { requestId },
        effect: async () => (await count("signing_keys")) - before,
        once: 1,
      };
    },
  },
  eraseCustomerData: {
    callers: () => [workload("customers")],
    prepare: async (_, requestId) => {
      const [{ user }, { user: another }] = [await member(), await member()];
      const request = { requestId, customerId: user.id };
      return {
        request,
        other: () => ({ ...request, customerId: another.id }),
        effect: async () => [await emailOf(user.id), await openSessions(user.id), await openSessions(another.id)],
        once: ["", 0, 1],
      };
    },
  },
});
