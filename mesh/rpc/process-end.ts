import type { Logger } from "pino";
import type { RunningServer } from "#mesh/rpc/server.ts";

/**
 * Ties a server to its process: SIGTERM, SIGINT and the loss of a parent that started it shut the server down, after
 * which the process exits with 0, or with 1 when the shutdown itself failed. Tells a parent that calls are taken.
 */
export function endWithProcess(server: RunningServer, log: Logger): void {
  const end = (cause: string): void => {
    log.info({ cause }, "asked to end");
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "shutdown failed");
        process.exit(1);
      },
    );
  };
  process.once("SIGTERM", () => end("SIGTERM"));
  process.once("SIGINT", () => end("SIGINT"));
  process.once("disconnect", () => end("the parent is gone"));
  process.send?.({ type: "ready", port: server.port });
}
