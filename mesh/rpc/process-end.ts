import type { Logger } from "pino";
import type { RunningServer } from "#mesh/rpc/server.ts";

/** Ends a process that has no certificate and can get none. Whoever started it starts it anew, with another token. */
export function endWhenLost(error: Error, log: Logger): void {
  log.fatal({ reason: error.message }, "not in the mesh, so that there is nothing to do: ending");
  process.exit(1);
}

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
