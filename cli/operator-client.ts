import { readMeshConfig } from "#mesh/config.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { JoinError } from "#mesh/identity/certificates.ts";
import { deriveJoinKey } from "#mesh/identity/join-token.ts";
import { createMeshNode, type MeshNode } from "#mesh/mesh.ts";
import { adviceFor } from "./advice.ts";
import type { DataFolder } from "./data/folder.ts";
import { loadSecrets } from "./data/secrets.ts";
import { OperatorError } from "./operator-error.ts";

/** Where a run is. */
export interface RunAccess {
  /** Where control lets processes join. */
  readonly joinAddress: string;
  /** Where each service listens, control among them. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
}

/** How long a command waits for control to let it in. */
const JOIN_TIMEOUT_MS = 5_000;

/**
 * The operator's own part of the mesh: the workload `operator`, which calls and is never called. It joins with the join
 * secret of the data folder, which is what makes its owner the operator. To be closed.
 */
export function operatorMesh(run: RunAccess, folder: DataFolder, joinTimeoutMs = JOIN_TIMEOUT_MS): MeshNode {
  return meshOf(OPERATOR, run, folder, joinTimeoutMs);
}

/** A part of the mesh as any workload: whoever can read the data folder can be each of them. To be closed. */
export function meshOf(workload: string, run: RunAccess, folder: DataFolder, joinTimeoutMs: number): MeshNode {
  const config = readMeshConfig({
    SHOPMESH_TARGETS: JSON.stringify(run.targets),
    // Its failures are told as errors of the command, not as log lines in the middle of them.
    SHOPMESH_LOG_LEVEL: "silent",
  });
  const { joinSecret } = loadSecrets(folder.secretsFile, []);
  const proof = { key: deriveJoinKey(joinSecret, workload) };
  const join = { address: run.joinAddress, trustFile: folder.trustFile, proof };
  return createMeshNode(workload, config, { join, joinTimeoutMs });
}

const OPERATOR = "operator";

/** Waits until the operator has joined. Throws OperatorError when control does not let it in. */
export async function joinedMesh(mesh: MeshNode): Promise<MeshNode> {
  try {
    await mesh.joined();
    return mesh;
  } catch (error) {
    if (!(error instanceof JoinError)) throw error;
    throw new OperatorError(`control lets nobody in: ${error.message}`, { cause: error });
  }
}

/** A failed call as one line for the operator. */
export function callFailure(what: string, error: unknown): OperatorError {
  if (!(error instanceof RpcError)) throw error;
  const details = error.violations.map(({ field, description }) => `${field}: ${description}`);
  const advice = adviceFor(error);
  return new OperatorError(`${what}: ${whyFailed(error)}${advice === undefined ? "" : `; ${advice}`}`, {
    details,
    cause: error,
  });
}

/** Why a call failed, for the operator: the message, and the reason for whoever searches for it. */
export function whyFailed({ message, code, reason }: RpcError): string {
  return `${message} (${code === reason ? code : `${code} ${reason}`})`;
}
