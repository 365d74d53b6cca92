import { pino } from "pino";
import { ConfigError, readSetting } from "#mesh/config.ts";
import { startMailbox } from "./mailbox.ts";

const log = pino({ name: "mailbox", level: readSetting("SHOPMESH_LOG_LEVEL", { default: "info" }) });

function readPort(): number {
  const text = readSetting("SHOPMESH_MAILBOX_PORT", { default: "0" });
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) {
    throw new ConfigError(`SHOPMESH_MAILBOX_PORT must be a port, not ${JSON.stringify(text)}`);
  }
  return Number(text);
}

try {
  const mailbox = await startMailbox({ port: readPort(), dir: readSetting("SHOPMESH_MAIL_DIR"), log });
  let closing = false;
  const stop = async (): Promise<void> => {
    if (closing) return;
    closing = true;
    await mailbox.close();
    process.exit();
  };
  for (const event of ["SIGTERM", "SIGINT", "disconnect"]) process.on(event, () => void stop());
  log.info({ port: mailbox.port }, "ready");
  process.send?.({ type: "ready", port: mailbox.port });
} catch (error) {
  log.fatal(error instanceof ConfigError ? error.message : `cannot start: ${String(error)}`);
  process.exitCode = 1;
}
