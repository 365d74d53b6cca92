import { setTimeout as delay } from "node:timers/promises";
import type { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { Health } from "#mesh/rpc/health.ts";

export interface ShutdownOptions {
  readonly server: Server;
  readonly health: Health;
  readonly openStreams: ReadonlySet<() => void>;
  readonly log: Logger;
  /** Releases what the handlers used. */
  readonly close: () => Promise<void>;
}

/** How long open streams may go on; a watch has no end of its own, and its caller begins anew elsewhere. */
const STREAM_GRACE_MS = 2_000;
/** How long running calls may take to finish before their connections are cut. */
const CALL_GRACE_MS = 10_000;

/**
 * Shuts a server down: health says so first, new calls are refused (callers try another instance by themselves),
 * running calls finish within the bounds above, then what the handlers used is released. Takes no longer than
 * `CALL_GRACE_MS` and what `close` takes.
 */
export async function shutDown({ server, health, openStreams, log, close }: ShutdownOptions): Promise<void> {
  log.info("shutting down");
  health.close();
  const finished = new AbortController();
  const drained = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  await Promise.race([drained, enforceBounds(server, openStreams, log, finished.signal)]);
  finished.abort();
  await close();
  log.info("shut down");
}

/** Ends what does not end by itself; resolves when nothing is left, or is stopped by `finished`. */
async function enforceBounds(
  server: Server,
  openStreams: ReadonlySet<() => void>,
  log: Logger,
  finished: AbortSignal,
): Promise<void> {
  try {
    await delay(STREAM_GRACE_MS, undefined, { signal: finished });
    for (const interrupt of openStreams) interrupt();
    await delay(CALL_GRACE_MS - STREAM_GRACE_MS, undefined, { signal: finished });
    log.warn({ afterMs: CALL_GRACE_MS }, "calls cut off that did not finish in time");
    server.forceShutdown();
  } catch (error) {
    if (!finished.aborted) throw error;
  }
}
