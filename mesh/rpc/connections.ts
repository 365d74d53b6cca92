import type { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";

/** How often it is told at most that connections are refused. */
const TELL_EVERY_MS = 1_000;

/**
 * Lets a server that listens have `most` connections at a time, those in the middle of a handshake among them, and
 * closes further ones as they come: grpc-js has no bound of its own, and each costs some 40 KB before its first call.
 */
export function boundConnections(server: Server, most: number, log: Pick<Logger, "warn">): void {
  let told = false;
  const onDrop = (): void => {
    if (told) return;
    told = true;
    log.warn({ most }, "refused a connection: there are as many as there may be");
    setTimeout(() => {
      told = false;
    }, TELL_EVERY_MS).unref();
  };
  // biome-ignore lint/complexity/useLiteralKeys: brackets are how TypeScript lets a private member be read
  for (const listener of server["http2Servers"].keys()) {
    listener.maxConnections = most;
    listener.on("drop", onDrop);
  }
}
