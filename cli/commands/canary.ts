import { randomUUID } from "node:crypto";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { ask } from "../ask.ts";
import { type Command, type Invocation, oneOperand } from "../invocation.ts";
import { exitCodes, OperatorError } from "../operator-error.ts";
import { badUsage } from "../usage-error.ts";
import { readHeader, readName, readPercent } from "../values.ts";
import { readRelease, rollOut } from "./rollout.ts";
import { describeSplit } from "./rule-text.ts";
import { withChange } from "./running-shop.ts";
import { changeTimeoutMs, expectService, listProcesses } from "./supervised.ts";

/** One instance of another version beside the others: begins it, brings it in everywhere, or ends it. */
export const canary: Command = {
  operands: "<service> --percent <n> | --header <x-name>=<value> | --promote | --end",
  options: ["percent", "header", "version", "from", "promote", "end"],
  run(invocation) {
    const service = readName(oneOperand(invocation));
    const { percent, header, version, from, promote, end } = invocation.values;
    const begins = [percent, header, version, from].some((value) => value !== undefined);
    if ([begins, promote, end].filter((wish) => wish === true).length !== 1) throw invocation.misused();
    if (promote === true) return promoteCanary(service, invocation);
    return end === true ? endCanary(service, invocation) : startCanary(service, invocation);
  },
};

async function startCanary(service: string, invocation: Invocation): Promise<number> {
  const { percent, header = [] } = invocation.values;
  if (percent === undefined && header.length === 0) throw badUsage("a canary wants --percent, or --header, or both");
  const request = {
    requestId: `canary-${randomUUID()}`,
    service,
    release: readRelease(invocation),
    percent: percent === undefined ? 0 : readPercent(percent, 0),
    headers: header.map(readHeader),
  };
  return change(service, invocation, async (mesh, signal) => {
    const failing = `the canary of ${service} can't be started`;
    const question = { mesh, timeoutMs: changeTimeoutMs, signal, failing };
    const answer = await ask(question, (call) => mesh.client(SupervisorService).startCanary(request, call));
    const { process, split } = answer;
    const { output } = invocation.context;
    output.write(`${process?.name ?? service} takes calls as ${process?.version ?? "another version"}\n`);
    if (split !== undefined) output.write(`calls to ${service}: ${describeSplit(split)}\n`);
    output.write(`bring it in with shopmesh canary ${service} --promote, or end it with --end\n`);
    return exitCodes.ok;
  });
}

async function promoteCanary(service: string, invocation: Invocation): Promise<number> {
  return change(service, invocation, async (mesh, signal) => {
    const processes = await listProcesses(mesh);
    const version = processes.find((process) => process.service === service && process.canary)?.version;
    if (version === undefined) throw new OperatorError(`${service} has no canary to promote`);
    const release = { version, programsDir: "" };
    return rollOut({ mesh, service, release, signal, output: invocation.context.output });
  });
}

async function endCanary(service: string, invocation: Invocation): Promise<number> {
  return change(service, invocation, async (mesh, signal) => {
    const failing = `the canary of ${service} can't be ended`;
    const question = { mesh, timeoutMs: changeTimeoutMs, signal, failing };
    const request = { requestId: `end-canary-${randomUUID()}`, service };
    await ask(question, (call) => mesh.client(SupervisorService).endCanary(request, call));
    invocation.context.output.write(`${service} has no canary any more\n`);
    return exitCodes.ok;
  });
}

function change(
  service: string,
  invocation: Invocation,
  work: (mesh: MeshNode, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  return withChange(invocation, `what was asked of ${service}`, async (mesh, signal) => {
    expectService(service, await listProcesses(mesh));
    return work(mesh, signal);
  });
}
