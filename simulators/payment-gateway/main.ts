import { pino } from "pino";
import { ConfigError, readSetting } from "#mesh/config.ts";
import { startPaymentGatewaySimulator, type WebhookOptions } from "./simulator.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** About as long as outside gateways take: as a rule, the answer of the API comes first. */
const USUAL_DELAY_MS = 250;
/** Further copies of a webhook; more would be load, and show nothing new. */
const MAX_COPIES = 5;

const log = pino({ name: "payment-gateway", level: readSetting("SHOPMESH_LOG_LEVEL", { default: "info" }) });

/** A setting that is a whole number. */
function readNumber(name: string, fallback: number): number {
  const text = readSetting(name, { default: String(fallback) });
  if (!/^[0-9]{1,12}$/.test(text)) throw new ConfigError(`${name} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

/** Where webhooks go, if anywhere, and how badly they behave. */
function readWebhooks(): WebhookOptions | undefined {
  const url = readSetting("SHOPMESH_SIMULATOR_WEBHOOK_URL", { default: "" });
  if (url === "") return undefined;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new ConfigError(
      `SHOPMESH_SIMULATOR_WEBHOOK_URL must be an http or https address, not ${JSON.stringify(url)}`,
    );
  }
  return {
    url: new URL(url),
    secret: readSetting("SHOPMESH_SIMULATOR_WEBHOOK_SECRET"),
    retryForMs: readNumber("SHOPMESH_SIMULATOR_WEBHOOK_RETRY_FOR_MS", 3 * DAY_MS),
    copies: Math.min(readNumber("SHOPMESH_SIMULATOR_WEBHOOK_COPIES", 0), MAX_COPIES),
    delayMs: Math.min(readNumber("SHOPMESH_SIMULATOR_WEBHOOK_DELAY_MS", USUAL_DELAY_MS), DAY_MS),
    shuffleMs: Math.min(readNumber("SHOPMESH_SIMULATOR_WEBHOOK_SHUFFLE_MS", 0), DAY_MS),
  };
}

try {
  const simulator = await startPaymentGatewaySimulator({
    port: readNumber("SHOPMESH_SIMULATOR_PORT", 0),
    dataDir: readSetting("SHOPMESH_SIMULATOR_DATA"),
    apiKey: readSetting("SHOPMESH_SIMULATOR_KEY"),
    slowMs: readNumber("SHOPMESH_SIMULATOR_SLOW_MS", 3_000),
    authorizationLifetimeMs: readNumber("SHOPMESH_SIMULATOR_AUTHORIZATION_LIFETIME_MS", 7 * DAY_MS),
    webhooks: readWebhooks(),
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
