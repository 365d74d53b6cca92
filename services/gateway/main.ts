import { contracts } from "#gen/contracts.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { readMeshConfig, readSetting } from "#mesh/config.ts";
import { createMeshNode } from "#mesh/mesh.ts";
import { receivePublicSocket } from "#mesh/public-socket.ts";
import { createCallStats } from "#mesh/rpc/call-stats.ts";
import { readDescriptors } from "#mesh/rpc/descriptors.ts";
import { endWhenLost, endWithProcess } from "#mesh/rpc/process-end.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { startGateway } from "./gateway.ts";
import { defaultLimits } from "./limits.ts";
import { explainStartFailure, isHanded, parsePort } from "./start-failure.ts";

const host = readSetting("SHOPMESH_PUBLIC_HOST", { default: "127.0.0.1" });
try {
  const config = readMeshConfig();
  const port = parsePort(readSetting("SHOPMESH_PORT", { default: "8080" }));
  const needed = readSetting("SHOPMESH_SERVICES", { default: "" });
  const handed = isHanded(readSetting("SHOPMESH_PUBLIC_SOCKET", { default: "own" }));
  const { instance, version, logLevel } = config;
  const log = createLogger({ workload: "gateway", instance, version, level: logLevel });
  const stats = createCallStats(() => defaultLimits.maxCalls);
  const mesh = createMeshNode("gateway", config, { log, stats, onLost: endWhenLost });
  await mesh.joined();
  const { handleWebhook } = mesh.client(PaymentService).try;
  const gateway = await startGateway({
    host,
    port,
    socket: handed ? await receivePublicSocket() : undefined,
    contracts,
    needed: needed === "" ? undefined : needed.split(","),
    endpoints: mesh.endpoints,
    payments: { handleWebhook, call: (options) => mesh.background({ name: "webhook", ...options }) },
    certificates: mesh.certificates,
    descriptors: readDescriptors,
    stats,
    log,
  });
  log.info({ host, port: gateway.port }, "serving");
  const registration = mesh.register(gateway.port);
  const close = async (): Promise<void> => {
    await registration.leave();
    await gateway.close();
    mesh.close();
  };
  endWithProcess({ ...gateway, close }, log);
} catch (error) {
  process.stderr.write(`gateway: ${explainStartFailure(error)}\n`);
  process.exitCode = 1;
}
