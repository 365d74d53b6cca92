import { contracts } from "#gen/contracts.ts";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { staticEndpoints } from "#mesh/discovery/endpoints.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { endWithProcess } from "#mesh/rpc/process-end.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { startGateway } from "./gateway.ts";
import { explainStartFailure, parsePort } from "./start-failure.ts";

const host = readSetting("SHOPMESH_PUBLIC_HOST", { default: "127.0.0.1" });
try {
  const config = readMeshConfig();
  const port = parsePort(readSetting("SHOPMESH_PORT", { default: "8080" }));
  const { instance, version, logLevel } = config;
  const log = createLogger({ workload: "gateway", instance, version, level: logLevel });
  const gateway = await startGateway({
    host,
    port,
    contracts,
    endpoints: staticEndpoints(config.targets),
    secret: config.secret,
    descriptors: readDescriptors,
    log,
  });
  log.info({ host, port: gateway.port }, "serving");
  endWithProcess(gateway, log);
} catch (error) {
  process.stderr.write(`gateway: ${explainStartFailure(error)}\n`);
  process.exitCode = 1;
}
