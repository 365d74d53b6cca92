import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import type { Logger } from "pino";
import { type Arrival, guardConnection } from "./connection.ts";
import { type Connections, type Conversation, createConnections, type Entry } from "./connections.ts";
import type { GatewayLimits } from "./limits.ts";
import { sniff } from "./sniff.ts";
import type { Http1 } from "./webhooks/http1.ts";

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  /** What to listen on instead, when the parent of this process holds the address. */
  readonly socket: object | undefined;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly onStream: (arrival: Arrival) => void;
  /** Takes connections that turn out to speak HTTP/1. */
  readonly http1: Http1;
}

export interface Listener {
  readonly port: number;
  /** Takes no new connection or call; resolves when all have ended, at the latest after `shutdownMs`. */
  close(): Promise<void>;
}

/**
 * Listens for HTTP/2 with prior knowledge, and for HTTP/1. Rejects with the system's error when the address cannot be
 * had.
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits, log, onStream, http1 } = options;
  const connections = createConnections(limits, log);
  // Never listens itself: it is handed the connections that turn out to speak HTTP/2.
  const http2 = createHttp2Server({
    maxSessionMemory: limits.sessionMemoryMib,
    maxHeaderListPairs: limits.maxHeaderPairs,
    settings: { maxConcurrentStreams: limits.maxConcurrentStreams, maxHeaderListSize: limits.maxHeaderBytes },
  });
  let closing: Promise<void> | undefined;
  const greet = (entry: Entry, spoken: Conversation): void => {
    entry.spoken = spoken;
    // It came just before the end: what it asks for is answered.
    if (closing !== undefined) spoken.end(limits.goawayPauseMs);
  };
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    const entry = connections.admit(socket);
    if (entry === undefined) return;
    const peer = socket.remoteAddress ?? "";
    const onHttp2 = (): void => {
      const onSession = (session: ServerHttp2Session): void => {
        greet(entry, guardConnection({ session, peer, limits, log, onStream }));
      };
      http2.once("session", onSession); // comes before `emit` returns
      http2.emit("connection", socket);
      http2.off("session", onSession);
    };
    const onHttp1 = (): void => {
      greet(entry, http1.take(socket, peer));
    };
    sniff(socket, limits.prefaceTimeoutMs, { onHttp2, onHttp1 });
  });
  server.maxConnections = limits.maxConnections;
  server.on("drop", connections.noteDropped);

  let bound: number;
  try {
    bound = await bind(server, options);
  } catch (error) {
    connections.close();
    throw error;
  }
  return {
    port: bound,
    close() {
      closing ??= shutDown(server, connections, limits);
      return closing;
    },
  };
}

function bind(server: Server, { host, port, socket }: ListenerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket ?? { host, port }, () => {
      server.off("error", reject);
      const address = server.address();
      if (isAddressInfo(address)) resolve(address.port);
      else reject(new TypeError("a TCP server has an address"));
    });
  });
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}

async function shutDown(
  server: Server,
  connections: Connections,
  { shutdownMs, goawayPauseMs, lastPrefaceMs }: GatewayLimits,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A set may be changed while it is walked; what is added meanwhile is walked too.
  for (const { spoken } of connections.all()) spoken?.end(goawayPauseMs);
  // Those that have said nothing yet were accepted a moment ago, or are no callers.
  const silent = setTimeout(() => {
    for (const { socket, spoken } of connections.all()) if (spoken === undefined) socket.destroy();
  }, lastPrefaceMs);
  const timer = setTimeout(() => {
    for (const { socket, spoken } of connections.all()) {
      spoken?.destroy();
      socket.destroy();
    }
  }, shutdownMs);
  await closed;
  clearTimeout(silent);
  clearTimeout(timer);
  connections.close();
}
