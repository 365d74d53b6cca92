import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  GrantRoleRequest,
  GrantRoleResponse,
  RevokeRoleRequest,
  RevokeRoleResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import type { Role } from "#gen/shop/identity/v1/session.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import { once, type Queryable, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { normalizeEmail } from "./domain.ts";
import { actorOf, recordEvent } from "./events.ts";
import { nameOf, ROLE_NAMES } from "./role-names.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

export const grantRole =
  (deps: Deps) =>
  async (request: GrantRoleRequest, call: Call): Promise<GrantRoleResponse> => {
    const { db, clock } = deps;
    return once(db, call, request, clock, async (tx): Promise<GrantRoleResponse> => {
      await requireAdmin(tx, call, clock.now());
      const userId = await findUser(tx, request.user);
      const user = userId === undefined ? undefined : await store.lockUser(tx, userId);
      if (user === undefined) throw notFound();
      if (user.kind === "guest") throw fail("USER_IS_GUEST", "A guest cannot hold a role; they must sign up first.");
      tx.about(user.id);
      const role = nameOf(request.role);
      if (await store.insertRole(tx, user.id, role)) {
        await recordEvent(deps, tx, call, { kind: "role_granted", userId: user.id, role, actor: actorOf(call) });
      }
      return { userId: user.id, roles: await rolesOf(tx, user.id) };
    });
  };

export const revokeRole =
  (deps: Deps) =>
  async (request: RevokeRoleRequest, call: Call): Promise<RevokeRoleResponse> => {
    const { db, clock } = deps;
    return once(db, call, request, clock, async (tx): Promise<RevokeRoleResponse> => {
      await requireAdmin(tx, call, clock.now());
      const user = await store.lockUser(tx, request.userId);
      if (user === undefined) throw notFound();
      tx.about(user.id);
      const role = nameOf(request.role);
      if (await store.deleteRole(tx, user.id, role)) {
        await recordEvent(deps, tx, call, { kind: "role_revoked", userId: user.id, role, actor: actorOf(call) });
      }
      return { userId: user.id, roles: await rolesOf(tx, user.id) };
    });
  };

/**
 * Of an end user the policy has read the role in the token, which may be older than its loss. Here it must be held now,
 * or whoever lost it could give it back to themselves.
 */
async function requireAdmin(tx: Transaction, { user }: Call, now: Date): Promise<void> {
  if (user === undefined) return;
  const { id: userId, sessionId } = user;
  if (await store.keepRole(tx, { userId, sessionId, role: "admin", now })) return;
  throw meshFailure("NOT_ALLOWED", "Your role was revoked, or your session has ended.");
}

async function findUser(tx: Transaction, user: GrantRoleRequest["user"]): Promise<string | undefined> {
  switch (user?.$case) {
    case "userId":
      return user.value;
    case "email":
      return (await store.findUserByEmail(tx, normalizeEmail(user.value)))?.id;
    case undefined:
      return undefined;
  }
}

async function rolesOf(db: Queryable, userId: string): Promise<readonly Role[]> {
  const names = await store.listRoles(db, userId);
  return [...ROLE_NAMES].filter(([, name]) => names.includes(name)).map(([role]) => role);
}

function notFound(): Error {
  return fail("USER_NOT_FOUND", "There is no such user.");
}
