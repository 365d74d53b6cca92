import { constants, createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Logger } from "pino";
import { type Arrival, guardConnection } from "./connection.ts";
import type { GatewayLimits } from "./limits.ts";
import { sniff } from "./sniff.ts";

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly onStream: (arrival: Arrival) => void;
}

export interface Listener {
  readonly port: number;
  /** Takes no new connection or call; resolves when all have ended, at the latest after `shutdownMs`. */
  close(): Promise<void>;
}

/** The id that a first GOAWAY names: any stream on its way may still come. */
const LAST_STREAM_ID = 2 ** 31 - 1;

/** Listens for HTTP/2 with prior knowledge. Rejects with the system's error when the address cannot be had. */
export async function listen({ host, port, limits, log, onStream }: ListenerOptions): Promise<Listener> {
  const sessions = new Set<ServerHttp2Session>();
  /** Connections that have not said yet what they speak. */
  const undecided = new Set<Socket>();
  // Never listens itself: it is handed the connections that turn out to speak HTTP/2.
  const http2 = createHttp2Server({
    maxSessionMemory: limits.sessionMemoryMib,
    maxHeaderListPairs: limits.maxHeaderPairs,
    settings: { maxConcurrentStreams: limits.maxConcurrentStreams, maxHeaderListSize: limits.maxHeaderBytes },
  });
  http2.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    const peer = session.socket.remoteAddress ?? "";
    guardConnection({ session, peer, limits, log, onStream });
  });
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    undecided.add(socket);
    socket.once("close", () => undecided.delete(socket));
    sniff(socket, limits.prefaceTimeoutMs, () => {
      undecided.delete(socket);
      http2.emit("connection", socket);
    });
  });
  server.maxConnections = limits.maxConnections;
  server.on("drop", () => log.warn({ connections: sessions.size }, "connection dropped: there are too many"));

  const bound = await bind(server, host, port);
  let closing: Promise<void> | undefined;
  return {
    port: bound,
    close() {
      closing ??= shutDown(server, sessions, undecided, limits);
      return closing;
    },
  };
}

function bind(server: ReturnType<typeof createServer>, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
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
  server: ReturnType<typeof createServer>,
  sessions: ReadonlySet<ServerHttp2Session>,
  undecided: ReadonlySet<Socket>,
  { shutdownMs, goawayPauseMs }: GatewayLimits,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A set may be changed while it is walked; what is added meanwhile is walked too.
  for (const session of sessions) sayGoodbye(session, goawayPauseMs);
  for (const socket of undecided) socket.destroy();
  const timer = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, shutdownMs);
  await closed;
  clearTimeout(timer);
}

/**
 * Ends a session without failing a call: first a GOAWAY that still admits what is on its way, and after a pause the one
 * that doesn't (RFC 9113, section 6.8). The answer to a ping would not do for the pause: it overtakes requests.
 */
function sayGoodbye(session: ServerHttp2Session, pauseMs: number): void {
  if (session.destroyed || session.closed) return;
  session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM_ID);
  const timer = setTimeout(() => session.close(), pauseMs);
  session.once("close", () => clearTimeout(timer));
}
