import type { ServerHttp2Session } from "node:http2";
import { TLSSocket } from "node:tls";
import type { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { workloadOf } from "#mesh/identity/spiffe.ts";
import type { Door } from "#mesh/rpc/credentials.ts";
import { intercept, listenersOf } from "#mesh/rpc/listeners.ts";

/** Who is at the other end of a server's connections. */
export interface Peers {
  /** Begins to watch a server that listens, before its first connection. */
  watch(server: Server): void;
  /** The workload at the other end of a connection (an HTTP/2 session); undefined when it is none of these. */
  workloadOf(connection: object): string | undefined;
}

/** Refused connections that get a line each; a second later they do again. There may be thousands. */
const MAX_LINES = 10;
const LINES_INTERVAL_MS = 1_000;

/**
 * Asks each connection once who it is, because reading a certificate takes 15 µs, a quarter of a call. One whose
 * certificate does not name exactly one workload is closed before HTTP/2 begins; that, and each handshake that fails,
 * leaves a line. At the door of those who join, everybody is "".
 */
export function createPeers(door: Door, log: Pick<Logger, "warn">): Peers {
  const workloads = new WeakMap<object, string>();
  const refused = limitLines((fields) => log.warn(fields, "refused a connection"));
  const identify = door === "joining" ? () => "" : peerOf;
  return {
    watch(server) {
      for (const listener of listenersOf(server)) {
        intercept(listener, "secureConnection", (socket: TLSSocket) => {
          if (identify(socket) !== undefined) return true;
          refused({ reason: "the certificate does not name one workload", peer: socket.remoteAddress });
          socket.destroy();
          return false;
        });
        listener.on("session", (session: ServerHttp2Session) => {
          const workload = identify(session.socket);
          if (workload !== undefined) workloads.set(session, workload);
        });
        listener.on("tlsClientError", (error: Error, socket: TLSSocket) => {
          refused({ reason: reasonOf(error, socket), peer: socket.remoteAddress });
        });
      }
    },
    workloadOf: (connection) => workloads.get(connection),
  };
}

function peerOf(socket: unknown): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  return workloadOf(socket.getPeerCertificate());
}

/** What is wrong with the peer's certificate (`CERT_HAS_EXPIRED`), or with the handshake. */
function reasonOf(error: Error, { authorizationError }: TLSSocket): string {
  const reason: unknown = authorizationError;
  if (reason instanceof Error) return reason.message;
  return typeof reason === "string" ? reason : error.message;
}

function limitLines<T>(write: (fields: T) => void): (fields: T) => void {
  let written = 0;
  const beginAnew = (): void => {
    written = 0;
  };
  return (fields) => {
    if (written === 0) setTimeout(beginAnew, LINES_INTERVAL_MS).unref();
    written += 1;
    if (written <= MAX_LINES) write(fields);
  };
}
