import { randomUUID } from "node:crypto";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import { askQuickly } from "../ask.ts";
import { type Command, noOperands } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { describeAuthority } from "./authority-text.ts";
import { withMesh } from "./running-shop.ts";

/** Begins the change to another certificate authority; its steps go on by themselves. */
export const rotateAuthority: Command = {
  operands: "",
  async run(invocation) {
    noOperands(invocation);
    return withMesh(invocation, async (mesh) => {
      const request = { requestId: `rotate-${randomUUID()}` };
      const { authorities } = await askQuickly(mesh, "the authority can't be rotated", (call) =>
        mesh.client(CertificateService).rotateAuthority(request, call),
      );
      const { output } = invocation.context;
      for (const authority of authorities) output.write(`${describeAuthority(authority)}\n`);
      output.write("the rotation goes on by itself; shopmesh status shows its steps\n");
      return exitCodes.ok;
    });
  },
};
