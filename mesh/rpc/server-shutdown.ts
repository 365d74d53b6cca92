import type { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";
import type { ServedCall } from "#mesh/rpc/call-state.ts";
import type { Health } from "#mesh/rpc/health.ts";
import { interrupt } from "#mesh/rpc/server-pipeline.ts";

/** How long a shutdown waits, in milliseconds from when callers have turned away. */
export interface ShutdownBounds {
  /** For streams of answers. */
  readonly streamsMs: number;
  /** For all other calls. */
  readonly callsMs: number;
  /** For connections whose peer does not let them end. */
  readonly connectionsMs: number;
}

export const SHUTDOWN_BOUNDS: ShutdownBounds = { streamsMs: 2_000, callsMs: 10_000, connectionsMs: 10_500 };

export interface ShutdownOptions {
  readonly server: Server;
  readonly health: Health;
  readonly running: ReadonlySet<ServedCall>;
  readonly bounds: ShutdownBounds;
  readonly log: Logger;
  /** Has callers turn away. */
  readonly leave: () => Promise<void>;
  /** Releases what the handlers used. */
  readonly close: () => Promise<void>;
}

/**
 * Shuts a server down. It leaves first, and takes calls meanwhile, so that no caller finds the door closed: to close
 * connections alone does not help, since callers open them again. Then health says so, new calls are refused (those few
 * that come try another instance by themselves), running calls finish or are ended at the bounds, and what the handlers
 * used is released. Takes no longer than what `leave` takes, `bounds.connectionsMs` and what `close` takes.
 */
export async function shutDown(options: ShutdownOptions): Promise<void> {
  const { server, health, running, bounds, log, leave, close } = options;
  log.info("shutting down");
  await leave();
  health.close();
  const drained = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  const timers = [
    setTimeout(() => [...running].filter(isStream).forEach(interrupt), bounds.streamsMs),
    setTimeout(() => {
      log.warn({ calls: running.size }, "ending calls that did not finish in time");
      [...running].forEach(interrupt);
    }, bounds.callsMs),
    setTimeout(() => cutConnections(server), bounds.connectionsMs),
  ];
  await drained;
  for (const timer of timers) clearTimeout(timer);
  await close();
  log.info("shut down");
}

/**
 * Ends connections at once, whatever their peers do. grpc-js's own ways pass some over: `forceShutdown` knows none of a
 * server without channelz, and `drain` none that is closing already, as all are by then.
 */
function cutConnections(server: Server): void {
  // biome-ignore lint/complexity/useLiteralKeys: brackets are how TypeScript lets a private member be read
  for (const { sessions } of server["http2Servers"].values()) for (const session of [...sessions]) session.destroy();
}

/** Whether a call is answered by a stream: a watch has no end of its own, and its caller begins anew elsewhere. */
function isStream({ state }: ServedCall): boolean {
  return state.route.method.responseStream;
}
