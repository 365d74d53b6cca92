import type { EventEmitter } from "node:events";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** What a server that listens has its connections from: grpc-js keeps Node's own to itself. */
export function listenersOf(server: Server): Iterable<Http2Server | Http2SecureServer> {
  // biome-ignore lint/complexity/useLiteralKeys: brackets are how TypeScript lets a private member be read
  return server["http2Servers"].keys();
}

/**
 * Shows `first` what a listener emits as `event` before those who listen to it now. They get what it returns true for,
 * and nothing else.
 */
export function intercept<A extends readonly unknown[]>(
  listener: EventEmitter,
  event: string,
  first: (...args: A) => boolean,
): void {
  const takers = listener.listeners(event);
  listener.removeAllListeners(event);
  // Holds by the event: whoever intercepts it says what comes with it.
  listener.on(event, (...args: unknown[]) => {
    if (!first(...(args as unknown as A))) return;
    for (const taker of takers) Reflect.apply(taker, listener, args);
  });
}
