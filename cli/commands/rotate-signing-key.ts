import { randomUUID } from "node:crypto";
import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import type { SigningKey } from "#gen/shop/identity/v1/identity_service.ts";
import { askQuickly } from "../ask.ts";
import { type Command, noOperands } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { withMesh } from "./running-shop.ts";

/** Publishes another key to sign people's tokens with; it comes into use by itself. */
export const rotateSigningKey: Command = {
  operands: "",
  async run(invocation) {
    noOperands(invocation);
    return withMesh(invocation, async (mesh) => {
      const request = { requestId: `rotate-${randomUUID()}` };
      const { keys } = await askQuickly(mesh, "the signing key can't be rotated", (call) =>
        mesh.client(IdentityService).rotateSigningKey(request, call),
      );
      const { output } = invocation.context;
      for (const key of keys) output.write(`${describeKey(key)}\n`);
      output.write("the rotation goes on by itself; nobody has to sign in again\n");
      return exitCodes.ok;
    });
  },
};

function describeKey({ keyId, signTime, retireTime }: SigningKey): string {
  const until = retireTime === undefined ? "" : ` until ${retireTime.toISOString()}`;
  return `${keyId} signs from ${signTime?.toISOString() ?? "now"}${until}`;
}
