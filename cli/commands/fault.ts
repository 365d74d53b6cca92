import { randomUUID } from "node:crypto";
import type { TrafficFault } from "#gen/mesh/v1/discovery_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import { systemClock } from "#mesh/clock.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { askQuickly } from "../ask.ts";
import type { Command, Invocation } from "../invocation.ts";
import { exitCodes, OperatorError } from "../operator-error.ts";
import { badUsage } from "../usage-error.ts";
import { readMethod, readName, readPercent, readSpan, readStatus, toDuration } from "../values.ts";
import { expectRegistered } from "./registered.ts";
import { describeFault, describeRest } from "./rule-text.ts";
import { listRules } from "./rules.ts";
import { withMesh } from "./running-shop.ts";

/** The longest delay that can be injected; see the contract. */
const maxDelayMs = 60_000;

/** Injects a fault into the calls to a service, or ends faults. */
export const fault: Command = {
  operands: "<service> --delay <span> | --status <code> | --clear <fault id> | --clear --all",
  options: ["delay", "status", "percent", "caller", "method", "for", "clear", "all"],
  run(invocation) {
    const [operand, ...more] = invocation.operands;
    const { clear, all, ...effect } = invocation.values;
    if (clear === true) {
      const isAlone = [effect.delay, effect.status, effect.percent, effect.caller, effect.method, effect.for].every(
        (value) => value === undefined,
      );
      if (!isAlone || (operand === undefined) !== (all === true) || more.length > 0) throw invocation.misused();
      return withMesh(invocation, (mesh) => endFaults(mesh, operand, invocation));
    }
    if (operand === undefined || more.length > 0 || all === true) throw invocation.misused();
    return injectFault(readName(operand), invocation);
  },
};

async function injectFault(service: string, invocation: Invocation): Promise<number> {
  const lasts = invocation.values.for;
  const request = {
    requestId: `fault-${randomUUID()}`,
    service,
    fault: readFault(service, invocation),
    timeToLive: lasts === undefined ? undefined : toDuration(readSpan("--for", lasts)),
  };
  return withMesh(invocation, async (mesh) => {
    await expectRegistered(mesh, service);
    const { rule } = await askQuickly(mesh, `no fault can be injected into calls to ${service}`, (call) =>
      mesh.client(TrafficService).createTrafficFault(request, call),
    );
    if (rule?.effect?.$case !== "fault") throw new OperatorError("the control plane answered with another rule");
    const made = rule.effect.value;
    const rest = describeRest(rule, systemClock.now().getTime());
    invocation.context.output.write(`${made.faultId}: of calls to ${service}, ${describeFault(made)}, ${rest}\n`);
    invocation.context.output.write(`end it with shopmesh fault --clear ${made.faultId}\n`);
    return exitCodes.ok;
  });
}

function readFault(service: string, { values }: Invocation): TrafficFault {
  const { delay, status, percent = "100", caller = [], method = [] } = values;
  if (delay === undefined && status === undefined) throw badUsage("a fault wants --delay, or --status, or both");
  const delayMs = delay === undefined ? undefined : readSpan("--delay", delay);
  if (delayMs !== undefined && delayMs > maxDelayMs) throw badUsage("--delay can be a minute at most");
  return {
    faultId: "",
    callers: caller.map(readName),
    methods: method.map((name) => readMethod(service, name)),
    percent: readPercent(percent, 1),
    delay: delayMs === undefined ? undefined : toDuration(delayMs),
    statusCode: status === undefined ? 0 : readStatus(status),
  };
}

/** Ends one fault, or all. */
async function endFaults(mesh: MeshNode, id: string | undefined, { context }: Invocation): Promise<number> {
  const present = (await listRules(mesh)).flatMap(({ effect }) =>
    effect?.$case === "fault" ? [effect.value.faultId] : [],
  );
  if (id !== undefined && !present.includes(id)) {
    const others = present.length === 0 ? "there is none at all" : `there are ${present.join(", ")}`;
    throw new OperatorError(`there is no fault ${id} (any more); ${others}`);
  }
  for (const faultId of id === undefined ? present : [id]) {
    const request = { requestId: `end-fault-${randomUUID()}`, faultId };
    await askQuickly(mesh, `${faultId} can't be ended`, (call) =>
      mesh.client(TrafficService).deleteTrafficFault(request, call),
    );
    context.output.write(`${faultId} is ended\n`);
  }
  if (id === undefined && present.length === 0) context.output.write("no fault is injected\n");
  return exitCodes.ok;
}
