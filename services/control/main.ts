import { performance } from "node:perf_hooks";
import { systemClock } from "#mesh/clock.ts";
import { readMeshConfig } from "#mesh/config.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { endWithProcess } from "#mesh/rpc/process-end.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { CONTROL_LIMITS, CONTROL_SHUTDOWN_BOUNDS, openControl } from "./control.ts";
import { readControlSettings } from "./settings.ts";

const config = readMeshConfig();
const settings = readControlSettings();
const { instance, version, logLevel: level } = config;
const log = createLogger({ workload: "control", instance, version, level });
const monotonicMs = (): number => performance.now();
const control = await openControl({ ...settings, clock: systemClock, monotonicMs, log });
const { certificates, joinServices, services } = control;
const parts = { log, certificates, shutdownBounds: CONTROL_SHUTDOWN_BOUNDS, limits: CONTROL_LIMITS };
const mesh = createMeshNode("control", config, parts);
const server = await mesh.serve({
  services,
  joinDoor: { listen: settings.joinListen, services: joinServices },
  close: control.close,
});
const close = async (): Promise<void> => {
  control.freeze();
  await server.close();
};
endWithProcess({ ...server, close }, log);
