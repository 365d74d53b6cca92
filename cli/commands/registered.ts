import { RegistryService } from "#gen/mesh/v1/registry_service.contract.ts";
import type { MeshNode } from "#mesh/mesh.ts";
import { askQuickly } from "../ask.ts";
import { OperatorError } from "../operator-error.ts";
import { unknownName } from "../usage-error.ts";

/** Throws OperatorError for a service of which no instance is registered, with those there are. */
export async function expectRegistered(mesh: MeshNode, service: string): Promise<void> {
  const { instances } = await askQuickly(mesh, "the instances can't be listed", (call) =>
    mesh.client(RegistryService).listInstances({ service: "" }, call),
  );
  const known = [...new Set(instances.flatMap(({ instance }) => instance?.service ?? []))].toSorted();
  if (known.length === 0) throw new OperatorError("no instance of any service has come to control yet; try again");
  if (!known.includes(service)) throw unknownName("service", service, known);
}
