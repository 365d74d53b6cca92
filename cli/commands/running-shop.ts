import type { MeshNode } from "#mesh/mesh.ts";
import { dataFolder } from "../data/folder.ts";
import { readRunState } from "../data/run-file.ts";
import { watchInterrupt } from "../interrupt.ts";
import type { Invocation } from "../invocation.ts";
import { joinedMesh, operatorMesh } from "../operator-client.ts";
import { OperatorError } from "../operator-error.ts";
import type { Settings } from "../settings.ts";

/** Calls the shop that runs in the data folder, as its operator. Throws OperatorError when none does. */
export async function withRunningShop<T>({ dataDir }: Settings, work: (mesh: MeshNode) => Promise<T>): Promise<T> {
  const folder = dataFolder(dataDir);
  const state = await readRunState(folder);
  if (state === undefined) {
    throw new OperatorError(`no shop runs in ${dataDir}; start it with npm start, or name another SHOPMESH_DATA`);
  }
  return closing(operatorMesh(state, folder), work);
}

/** The same for a command. */
export function withMesh<T>({ settings, context }: Invocation, work: (mesh: MeshNode) => Promise<T>): Promise<T> {
  const given = context.openMesh?.(settings);
  return given === undefined ? withRunningShop(settings, work) : closing(given, work);
}

async function closing<T>(mesh: MeshNode, work: (mesh: MeshNode) => Promise<T>): Promise<T> {
  try {
    return await work(await joinedMesh(mesh));
  } finally {
    mesh.close();
  }
}

/**
 * The same for a change that the shop makes: it goes on there when the operator waits no longer, and that is said.
 * `what` names it: `the rollout of cart`.
 */
export async function withChange<T>(
  invocation: Invocation,
  what: string,
  work: (mesh: MeshNode, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, close } = (invocation.context.interrupt ?? watchInterrupt)();
  try {
    return await withMesh(invocation, (mesh) => work(mesh, signal));
  } catch (error) {
    if (!signal.aborted) throw error;
    const message = `${what} goes on in the shop without you; shopmesh status shows how it stands`;
    throw new OperatorError(message, { exitCode: 130, cause: error });
  } finally {
    close();
  }
}
