import { Role } from "#gen/shop/identity/v1/session.ts";

/** The name of each role in tokens, in method policies and in tables. */
export const ROLE_NAMES: ReadonlyMap<Role, string> = new Map([
  [Role.ADMIN, "admin"],
  [Role.SUPPORT, "support"],
  [Role.WAREHOUSE, "warehouse"],
  [Role.COURIER, "courier"],
]);

/** The name of a role that passed validation. */
export function nameOf(role: Role): string {
  const name = ROLE_NAMES.get(role);
  if (name === undefined) throw new TypeError(`role ${role} passed validation`);
  return name;
}

/** The role of a name; none for what is no role's. */
export function roleOf(name: string | null): Role {
  return [...ROLE_NAMES].find(([, known]) => known === name)?.[0] ?? Role.UNSPECIFIED;
}
