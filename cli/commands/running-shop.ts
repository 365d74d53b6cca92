import type { MeshNode } from "#mesh/mesh.ts";
import { dataFolder } from "../data/folder.ts";
import { readRunState } from "../data/run-file.ts";
import { operatorMesh } from "../operator-client.ts";
import { OperatorError } from "../operator-error.ts";
import type { Settings } from "../settings.ts";

/** Calls the shop that runs in the data folder, as its operator. Throws OperatorError when none does. */
export async function withRunningShop<T>(settings: Settings, work: (mesh: MeshNode) => Promise<T>): Promise<T> {
  const state = await readRunState(dataFolder(settings.dataDir));
  if (state === undefined) {
    throw new OperatorError(
      `no shop runs in ${settings.dataDir}; start it with npm start, or name another SHOPMESH_DATA`,
    );
  }
  const mesh = operatorMesh(state);
  try {
    return await work(mesh);
  } finally {
    mesh.close();
  }
}
