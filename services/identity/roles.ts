import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type {
  GrantRoleRequest,
  GrantRoleResponse,
  RevokeRoleRequest,
  RevokeRoleResponse,
} from "#gen/shop/identity/v1/identity_service.ts";
import { Role } from "#gen/shop/identity/v1/session.ts";
import { failures } from "#mesh/contract/errors.ts";
import { once, type Queryable, type Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import type { Deps } from "./deps.ts";
import { normalizeEmail } from "./domain.ts";
import * as store from "./store.ts";

const fail = failures(IdentityService);

/** The name of each role in tokens and in method policies. */
const ROLE_NAMES: ReadonlyMap<Role, string> = new Map([
  [Role.ADMIN, "admin"],
  [Role.SUPPORT, "support"],
  [Role.WAREHOUSE, "warehouse"],
  [Role.COURIER, "courier"],
]);

export const grantRole =
  ({ db, clock }: Deps) =>
  async (request: GrantRoleRequest, call: Call): Promise<GrantRoleResponse> =>
    once(db, call, request, clock, async (tx): Promise<GrantRoleResponse> => {
      const userId = await findUser(tx, request.user);
      const user = userId === undefined ? undefined : await store.lockUser(tx, userId);
      if (user === undefined) throw notFound();
      if (user.kind === "guest") throw fail("USER_IS_GUEST", "A guest cannot hold a role; they must sign up first.");
      await store.insertRole(tx, user.id, nameOf(request.role));
      return { userId: user.id, roles: await rolesOf(tx, user.id) };
    });

export const revokeRole =
  ({ db, clock }: Deps) =>
  async (request: RevokeRoleRequest, call: Call): Promise<RevokeRoleResponse> =>
    once(db, call, request, clock, async (tx): Promise<RevokeRoleResponse> => {
      const user = await store.lockUser(tx, request.userId);
      if (user === undefined) throw notFound();
      await store.deleteRole(tx, user.id, nameOf(request.role));
      return { userId: user.id, roles: await rolesOf(tx, user.id) };
    });

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

function nameOf(role: Role): string {
  const name = ROLE_NAMES.get(role);
  if (name === undefined) throw new TypeError(`role ${role} passed validation`);
  return name;
}

function notFound(): Error {
  return fail("USER_NOT_FOUND", "There is no such user.");
}
