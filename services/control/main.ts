import { performance } from "node:perf_hooks";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { endWithProcess } from "#mesh/rpc/process-end.ts";
import { CONTROL_SHUTDOWN_BOUNDS, openControl } from "./control.ts";

const mesh = createMeshNode("control", readMeshConfig(), { shutdownBounds: CONTROL_SHUTDOWN_BOUNDS });
const { log, clock } = mesh;
const control = await openControl({
  dataDir: readSetting("SHOPMESH_CONTROL_DATA"),
  clock,
  monotonicMs: () => performance.now(),
  log,
});
const server = await mesh.serve({ services: control.services, close: control.close });
const close = async (): Promise<void> => {
  control.freeze();
  await server.close();
};
endWithProcess({ ...server, close }, log);
