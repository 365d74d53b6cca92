import { randomUUID } from "node:crypto";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { Role } from "#gen/shop/identity/v1/session.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { callFailure } from "../operator-client.ts";
import { exitCodes, OperatorError } from "../operator-error.ts";
import type { Output } from "../output.ts";

const timeoutMs = 10_000;
const roles = { admin: Role.ADMIN, support: Role.SUPPORT, warehouse: Role.WAREHOUSE, courier: Role.COURIER } as const;

/** Gives a customer a role. Throws OperatorError when there is no such customer or role. */
export async function adminGrant(options: {
  readonly mesh: MeshNode;
  /** An e-mail address or an id, `usr_…`. */
  readonly who: string;
  readonly roleName: string;
  readonly output: Output;
}): Promise<void> {
  const { mesh, who, roleName, output } = options;
  const role = readRole(roleName);
  const user = { $case: who.includes("@") ? ("email" as const) : ("userId" as const), value: who };
  const call = mesh.background({ name: "grant-role", timeoutMs });
  const request = { requestId: `grant-${randomUUID()}`, user, role };
  const result = await mesh.client(IdentityService).try.grantRole(request, call);
  if (!result.ok) {
    const { reason } = result.error;
    if (reason === "USER_NOT_FOUND") throw new OperatorError(`there is no customer ${who}`);
    if (reason === "USER_IS_GUEST") throw new OperatorError(`${who} is a guest; only customers can have roles`);
    throw callFailure(`the role can't be given to ${who}`, result.error);
  }
  const all = result.value.roles.map((given) => nameOf(given));
  output.write(`${who} (${result.value.userId}) now has: ${all.join(", ")}; it counts from the next access token on\n`);
}

function readRole(name: string): Role {
  const entry = Object.entries(roles).find(([known]) => known === name);
  if (entry !== undefined) return entry[1];
  throw new OperatorError(`"${name}" is no role; there are ${Object.keys(roles).join(", ")}`, {
    exitCode: exitCodes.usage,
  });
}

function nameOf(role: Role): string {
  return Object.entries(roles).find(([, value]) => value === role)?.[0] ?? String(role);
}
