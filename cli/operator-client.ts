import { readMeshConfig } from "#mesh/config.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { createMeshNode, type MeshNode } from "#mesh/mesh.ts";
import { adviceFor } from "./advice.ts";
import { OperatorError } from "./operator-error.ts";

/** What it takes to call the services of a run as the operator. */
export interface OperatorAccess {
  /** The run's secret, from which the operator's proof comes. */
  readonly secret: string;
  /** Where each service listens. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
}

/** The operator's own part of the mesh: the workload `operator`, which calls and is never called. To be closed. */
export function operatorMesh({ secret, targets }: OperatorAccess): MeshNode {
  const config = readMeshConfig({
    SHOPMESH_SECRET: secret,
    SHOPMESH_TARGETS: JSON.stringify(targets),
    // Its failures are told as errors of the command, not as log lines in the middle of them.
    SHOPMESH_LOG_LEVEL: "silent",
  });
  return createMeshNode("operator", config);
}

/** A failed call as one line for the operator. */
export function callFailure(what: string, error: unknown): OperatorError {
  if (!(error instanceof RpcError)) throw error;
  const details = error.violations.map(({ field, description }) => `${field}: ${description}`);
  const advice = adviceFor(error);
  const name = error.code === error.reason ? error.code : `${error.code} ${error.reason}`;
  const why = `${error.message} (${name})`;
  return new OperatorError(`${what}: ${why}${advice === undefined ? "" : `; ${advice}`}`, { details, cause: error });
}
