import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import type { Process } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import { CertificateService } from "#gen/mesh/v1/certificate_service.contract.ts";
import type { Authority } from "#gen/mesh/v1/certificate_service.ts";
import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { RegisteredInstance } from "#gen/mesh/v1/registry_service.ts";
import { TrafficService } from "#gen/mesh/v1/traffic_service.contract.ts";
import type { TrafficRule } from "#gen/mesh/v1/traffic_service.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { fail, ok, type Result } from "#mesh/result.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { whyFailed } from "../../operator-client.ts";

/** What the mesh says of itself: each part, or why it says nothing. */
export interface MeshLook {
  readonly supervised: Answer<readonly Process[]>;
  readonly instances: Answer<readonly RegisteredInstance[]>;
  readonly rules: Answer<readonly TrafficRule[]>;
  readonly authorities: Answer<readonly Authority[]>;
}

/** An answer, or in words why there is none. */
export type Answer<T> = Result<T, string>;

/** Each of the questions is given so long. They are asked at once, so a look takes no longer. */
const answerMs = 2_000;

/** Asks the supervisor and the control plane. Never rejects; takes about two seconds at most. */
export async function lookAtMesh(
  mesh: MeshNode,
  { signal, asksSupervisor }: { readonly signal: AbortSignal | undefined; readonly asksSupervisor: boolean },
): Promise<MeshLook> {
  const asked = <T>(question: (call: Call) => Promise<T>) => answerOf(mesh, signal, question);
  const [supervised, instances, rules, authorities] = await Promise.all([
    !asksSupervisor
      ? ok([])
      : asked(async (call) => (await mesh.client(SupervisorService).listProcesses({}, call)).processes),
    asked(async (call) => (await mesh.client(RegistryService).listInstances({ service: "" }, call)).instances),
    asked(async (call) => (await mesh.client(TrafficService).listTrafficRules({}, call)).rules),
    asked(async (call) => (await mesh.client(CertificateService).listAuthorities({}, call)).authorities),
  ]);
  return { supervised, instances, rules, authorities };
}

async function answerOf<T>(
  mesh: MeshNode,
  signal: AbortSignal | undefined,
  question: (call: Call) => Promise<T>,
): Promise<Answer<T>> {
  const call = mesh.background({ name: "status", timeoutMs: answerMs, signal });
  try {
    return ok(await question(call));
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return fail(whyFailed(error));
  } finally {
    call.done();
  }
}
