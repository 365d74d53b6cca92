import { pino } from "pino";
import { ConfigError, readSetting } from "#mesh/config.ts";
import { startPaymentGatewaySimulator } from "./simulator.ts";

const log = pino({ name: "payment-gateway", level: readSetting("SHOPMESH_LOG_LEVEL", { default: "info" }) });

/** A setting that is a whole number. */
function readNumber(name: string, fallback: number): number {
  const text = readSetting(name, { default: String(fallback) });
  if (!/^[0-9]{1,12}$/.test(text)) throw new ConfigError(`${name} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

try {
  const simulator = await startPaymentGatewaySimulator({
    port: readNumber("SHOPMESH_SIMULATOR_PORT", 0),
    dataDir: readSetting("SHOPMESH_SIMULATOR_DATA"),
    apiKey: readSetting("SHOPMESH_SIMULATOR_KEY"),
    slowMs: readNumber("SHOPMESH_SIMULATOR_SLOW_MS", 3_000),
    authorizationLifetimeMs: readNumber("SHOPMESH_SIMULATOR_AUTHORIZATION_LIFETIME_MS", 7 * 24 * 60 * 60 * 1000),
    log,
  });
  let closing = false;
  const stop = async (): Promise<void> => {
    if (closing) return;
    closing = true;
    await simulator.close().catch((error) => {
      process.exitCode = 1;
      log.fatal({ err: error }, "did not close cleanly");
    });
    process.exit();
  };
  for (const event of ["SIGTERM", "SIGINT", "disconnect"]) process.on(event, () => void stop());
  log.info({ url: simulator.url }, "ready");
  process.send?.({ type: "ready", port: simulator.port });
} catch (error) {
  log.fatal(error instanceof ConfigError ? error.message : `cannot start: ${String(error)}`);
  process.exitCode = 1;
}
