import { randomUUID } from "node:crypto";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { ask } from "../ask.ts";
import { type Command, oneOperand } from "../invocation.ts";
import { exitCodes } from "../operator-error.ts";
import { readName } from "../values.ts";
import { withChange } from "./running-shop.ts";
import { changeTimeoutMs, expectServiceOrProcess, listProcesses, processList } from "./supervised.ts";

/** Starts the instances of a service again, one after the other, or one process. */
export const restart: Command = {
  operands: "<service or process>",
  async run(invocation) {
    const name = readName(oneOperand(invocation));
    return withChange(invocation, `the restart of ${name}`, async (mesh, signal) => {
      expectServiceOrProcess(name, await listProcesses(mesh));
      const question = { mesh, timeoutMs: changeTimeoutMs, signal, failing: `${name} can't be restarted` };
      const request = { requestId: `restart-${randomUUID()}`, name };
      const answer = await ask(question, (call) => mesh.client(SupervisorService).restartService(request, call));
      invocation.context.output.write(`${name} has been restarted: ${processList(answer.processes)}\n`);
      return exitCodes.ok;
    });
  },
};
