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
const parts = { log, shutdownBounds: CONTROL_SHUTDOWN_BOUNDS, limits: CONTROL_LIMITS };
const mesh = createMeshNode("control", config, parts);
// The others come without certificates as yet: so that they can get some, the join door has a node of its own.
const anyPort = Object.create(config, { listen: { value: { host: "127.0.0.1", port: 0 } } });
const door = createMeshNode("control", anyPort, { ...parts, certificates });
const joining = await door.serve({ services: [], joinDoor: { listen: settings.joinListen, services: joinServices } });
const server = await mesh.serve({ services, close: control.close });
const close = async (): Promise<void> => {
  control.freeze();
  await Promise.all([joining.close(), server.close()]);
};
endWithProcess({ ...server, close }, log);
