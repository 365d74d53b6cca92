import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type { TrafficRule } from "#gen/mesh/v1/traffic_service.ts";
import { systemClock } from "#mesh/clock.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { askQuickly } from "../ask.ts";
import { type Command, noOperands } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { textTable } from "../table.ts";
import { describeRest, describeRule } from "./rule-text.ts";
import { withMesh } from "./running-shop.ts";

/** Shows the traffic rules that are in force. */
export const rules: Command = {
  operands: "",
  async run(invocation) {
    noOperands(invocation);
    return withMesh(invocation, async (mesh) => {
      const inForce = await listRules(mesh);
      const nowMs = systemClock.now().getTime();
      invocation.context.output.write(
        inForce.length === 0 ? "no traffic rules are in force\n" : ruleTable(inForce, nowMs),
      );
      return exitCodes.ok;
    });
  },
};

/** All rules in force. Throws OperatorError. */
export async function listRules(mesh: MeshNode): Promise<readonly TrafficRule[]> {
  const answer = await askQuickly(mesh, "the traffic rules can't be listed", (call) =>
    mesh.client(TrafficService).listTrafficRules({}, call),
  );
  return answer.rules;
}

/** Rules for people, a line each. */
export function ruleTable(inForce: readonly TrafficRule[], nowMs: number): string {
  const rows = inForce.map((rule) => [
    rule.service,
    rule.effect?.$case === "fault" ? rule.effect.value.faultId : "split",
    describeRule(rule),
    describeRest(rule, nowMs),
  ]);
  return textTable([["SERVICE", "RULE", "WHAT IT DOES", "FOR HOW LONG"], ...rows]);
}
