import { SupervisorService } from "#gen/mesh/supervisor/v1/supervisor_service.contract.ts";
import type { Process } from "#gen/mesh/supervisor/v1/supervisor_service.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { askQuickly } from "../ask.ts";
import { unknownName } from "../usage-error.ts";

/** A little more than the supervisor takes at most for one change of a service; see its contract. */
export const changeTimeoutMs = 185_000;

/** Every process that the supervisor keeps. Throws OperatorError. */
export async function listProcesses(mesh: MeshNode): Promise<readonly Process[]> {
  const list = (call: Call) => mesh.client(SupervisorService).listProcesses({}, call);
  return (await askQuickly(mesh, "the processes can't be listed", list)).processes;
}

/** Throws OperatorError for a name that is no service here, with those there are. */
export function expectService(service: string, processes: readonly Process[]): void {
  const known = servicesOf(processes);
  if (!known.includes(service)) throw unknownName("service", service, known);
}

/** Throws OperatorError for a name that is neither a service nor a process here, with those there are. */
export function expectServiceOrProcess(name: string, processes: readonly Process[]): void {
  const known = [...new Set([...servicesOf(processes), ...processes.map((process) => process.name)])];
  if (!known.includes(name)) throw unknownName("service or process", name, known);
}

function servicesOf(processes: readonly Process[]): readonly string[] {
  return [...new Set(processes.map(({ service }) => service).filter((service) => service !== ""))].toSorted();
}

/** `cart (process 4711), cart-2 (process 4712)`. */
export function processList(processes: readonly Process[]): string {
  return processes.map(({ name, pid }) => (pid === 0 ? name : `${name} (process ${pid})`)).join(", ");
}
