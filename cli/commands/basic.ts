import { type Command, noOperands, oneOperand } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { badUsage } from "../usage-error.ts";
import { adminGrant } from "./admin-grant.ts";
import { importFile } from "./import-file.ts";
import { reconcile } from "./reconcile.ts";
import { withMesh } from "./running-shop.ts";
import { up } from "./up.ts";

export const startShopHere: Command = {
  operands: "",
  options: ["port", "log-level", "instances", "verbose"],
  async run(invocation) {
    noOperands(invocation);
    const { settings, context } = invocation;
    await up({ settings, output: context.output, programsDir: context.programsDir });
    return exitCodes.ok;
  },
};

export const importCatalogueFile: Command = {
  operands: "<file>",
  async run(invocation) {
    const path = oneOperand(invocation);
    return withMesh(invocation, (mesh) => importFile({ mesh, path, output: invocation.context.output }));
  },
};

export const reconcileBooks: Command = {
  operands: "",
  options: ["json"],
  async run(invocation) {
    noOperands(invocation);
    const { values, context } = invocation;
    return withMesh(invocation, (mesh) => reconcile({ mesh, output: context.output, json: values.json === true }));
  },
};

export const admin: Command = {
  operands: "grant <who> <role>",
  async run(invocation) {
    const [action, who, roleName, ...more] = invocation.operands;
    if (action !== undefined && action !== "grant") throw badUsage(`there is no command "admin ${action}"`);
    if (who === undefined || roleName === undefined || more.length > 0) throw invocation.misused();
    await withMesh(invocation, (mesh) => adminGrant({ mesh, who, roleName, output: invocation.context.output }));
    return exitCodes.ok;
  },
};
