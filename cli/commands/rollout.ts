import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import { type Release, type RolloutServiceResponse, RolloutStep } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { type Command, type Invocation, oneOperand } from "../invocation.ts";
import { callFailure } from "../operator-client.ts";
import { exitCodes, OperatorError } from "../operator-error.ts";
import type { Output } from "../output.ts";
import { readName, readVersion } from "../values.ts";
import { withChange } from "./running-shop.ts";
import { expectService, listProcesses } from "./supervised.ts";

/** A little more than a rollout may take; see its contract. */
const rolloutTimeoutMs = 905_000;

/** Brings in another version of a service, and tells each step. Exits with 1 when it went back. */
export const rollout: Command = {
  operands: "<service>",
  options: ["version", "from"],
  async run(invocation) {
    const service = readName(oneOperand(invocation));
    const release = readRelease(invocation);
    return withChange(invocation, `the rollout of ${service}`, async (mesh, signal) => {
      expectService(service, await listProcesses(mesh));
      return rollOut({ mesh, service, release, signal, output: invocation.context.output });
    });
  },
};

/** The build that the options name; of one that they do not name, the supervisor takes its own. */
export function readRelease({ values }: Invocation): Release {
  return {
    version: values.version === undefined ? "" : readVersion(values.version),
    programsDir: values.from === undefined ? "" : resolve(values.from),
  };
}

/** Rolls out and tells each step. Returns the exit code. Throws OperatorError when it could not begin, or was lost. */
export async function rollOut(options: {
  readonly mesh: MeshNode;
  readonly service: string;
  readonly release: Release;
  readonly signal: AbortSignal;
  readonly output: Output;
}): Promise<number> {
  const { mesh, service, release, signal, output } = options;
  const call = mesh.background({ name: "rollout", timeoutMs: rolloutTimeoutMs, signal });
  const request = { requestId: `rollout-${randomUUID()}`, service, release };
  let last: RolloutServiceResponse | undefined;
  try {
    for await (const step of mesh.client(SupervisorService).rolloutService(request, call)) {
      output.write(`${describeStep(service, step)}\n`);
      last = step;
    }
  } catch (error) {
    // One that has begun goes on, whatever becomes of those who watch it.
    throw callFailure(last === undefined ? `${service} can't be rolled out` : `${service} is lost sight of`, error);
  } finally {
    call.done();
  }
  if (last?.step === RolloutStep.FINISHED) return exitCodes.ok;
  if (last?.step === RolloutStep.WENT_BACK) return exitCodes.failed;
  throw new OperatorError(`the rollout of ${service} ended without a word; shopmesh status shows how it stands`);
}

function describeStep(service: string, { step, instance: one, version, cause }: RolloutServiceResponse): string {
  const instance = one === "" ? `an instance of ${service}` : one;
  const why = cause === "" ? "" : `: ${cause}`;
  switch (step) {
    case RolloutStep.STARTING:
      return `${instance} is being started as ${version}`;
    case RolloutStep.TAKES_CALLS:
      return `${instance} takes calls as ${version}`;
    case RolloutStep.DRAINED:
      return `${instance} of ${version} has finished its calls and ended`;
    case RolloutStep.FAILED:
      return `${instance} of ${version} failed${why}`;
    case RolloutStep.FINISHED:
      return `${service} is ${version} now`;
    case RolloutStep.WENT_BACK:
      return `${service} went back to ${version}${why}`;
    default:
      return `${instance} ${version}${why}`;
  }
}
