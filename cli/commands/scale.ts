import { randomUUID } from "node:crypto";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { ask } from "../ask.ts";
import type { Command } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { badUsage } from "../usage-error.ts";
import { readCount, readName } from "../values.ts";
import { withChange } from "./running-shop.ts";
import { changeTimeoutMs, expectService, listProcesses, processList } from "./supervised.ts";

const maxInstances = 8;

/** Runs so many instances of services, one service after the other. */
export const scale: Command = {
  operands: "<service>=<count> …",
  async run(invocation) {
    const wanted = invocation.operands.map(readWanted);
    if (wanted.length === 0) throw invocation.misused();
    const twice = wanted.find(({ service }, index) => wanted.slice(0, index).some((one) => one.service === service));
    if (twice !== undefined) throw badUsage(`${twice.service} is there twice`);
    return withChange(invocation, "scaling", async (mesh, signal) => {
      // All names first: half of what was asked for is nobody's wish.
      const processes = await listProcesses(mesh);
      for (const { service } of wanted) expectService(service, processes);
      for (const { service, instances } of wanted) {
        const question = { mesh, timeoutMs: changeTimeoutMs, signal, failing: `${service} can't be scaled` };
        const request = { requestId: `scale-${randomUUID()}`, service, instances };
        const answer = await ask(question, (call) => mesh.client(SupervisorService).scaleService(request, call));
        const count = answer.processes.length;
        invocation.context.output.write(
          `${service}: ${count} ${count === 1 ? "instance" : "instances"}, ${processList(answer.processes)}\n`,
        );
      }
      return exitCodes.ok;
    });
  },
};

function readWanted(text: string): { readonly service: string; readonly instances: number } {
  const [service = "", count, ...more] = text.split("=");
  if (count === undefined || more.length > 0) throw badUsage(`"${text}" must look like cart=3`);
  return { service: readName(service), instances: readCount(service, count, { least: 1, most: maxInstances }) };
}
