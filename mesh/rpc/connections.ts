import type { Socket } from "node:net";
import { type TLSSocket, Server as TlsServer } from "node:tls";
import type { Server } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { workloadOf } from "#mesh/identity/spiffe.ts";
import { sharedCeiling } from "#mesh/rpc/admission.ts";
import type { Door } from "#mesh/rpc/credentials.ts";
import { listenersOf } from "#mesh/rpc/listeners.ts";

/** What one workload may have of all connections: whoever takes one over must not keep all others out. */
const SHARE_OF_ONE = 0.5;

/** How often it is told at most that connections are refused. */
const TELL_EVERY_MS = 1_000;

export interface ConnectionBounds {
  /** How many there may be at a time, those in the middle of a handshake among them. */
  readonly most: number;
  /** Where nobody proves anything, nobody's connection is safer than another's. */
  readonly door: Door;
}

/**
 * Bounds the connections of a server that listens: grpc-js has no bound of its own, and each costs some 40 KB before its
 * first call. When there are as many as may be, a further one takes the place of one that has not proved itself: the
 * oldest one of the address that has the most of them. Who keeps such connections open so loses them to whoever comes,
 * and who means it is through with its handshake long before it is the oldest. A connection that has proved itself is
 * never ended for another; when all have, the further one is closed as it comes. Of those, one workload has half.
 */
export function boundConnections(server: Server, bounds: ConnectionBounds, log: Pick<Logger, "warn">): void {
  const proven = sharedCeiling(bounds.most);
  const share = bounds.most * SHARE_OF_ONE;
  let told = false;
  const tell = (what: string): void => {
    if (told) return;
    told = true;
    log.warn({ most: bounds.most }, `${what}: there are as many as there may be`);
    setTimeout(() => {
      told = false;
    }, TELL_EVERY_MS).unref();
  };
  for (const listener of listenersOf(server)) {
    const all = new Set<Socket>();
    const unproven = createUnproven();
    listener.on("connection", (socket: Socket) => {
      const other = all.size < bounds.most ? undefined : unproven.next();
      if (all.size >= bounds.most && other === undefined) {
        tell("refused a connection");
        return socket.destroy();
      }
      const leave = listener instanceof TlsServer ? unproven.add(socket) : () => undefined;
      all.add(socket);
      socket.once("close", () => {
        all.delete(socket);
        leave();
      });
      if (other === undefined) return;
      tell("ended a connection that had not proved itself");
      all.delete(other);
      other.destroy();
    });
    if (bounds.door !== "workloads") continue;
    listener.on("secureConnection", (socket: TLSSocket) => {
      unproven.remove(socket);
      if (socket.destroyed) return;
      const place = proven.of({ key: workloadOf(socket.getPeerCertificate()) ?? "", share });
      if (place.tryEnter()) return socket.once("close", () => place.leave());
      tell("refused a further connection of one workload");
      socket.destroy();
    });
  }
}

/** By its address and port a connection is known in the clear and secured. */
type Peer = Pick<Socket, "remoteAddress" | "remotePort">;

/** The connections that have not proved themselves, by address and port, each address's oldest first. */
function createUnproven() {
  const addresses = new Map<string, Map<number, Socket>>();
  const remove = ({ remoteAddress = "", remotePort = 0 }: Peer): void => {
    const ports = addresses.get(remoteAddress);
    ports?.delete(remotePort);
    if (ports?.size === 0) addresses.delete(remoteAddress);
  };
  return {
    /** Returns what takes it out again, also when the connection knows its peer no more. */
    add(socket: Socket): () => void {
      const { remoteAddress = "", remotePort = 0 } = socket;
      const ports = addresses.get(remoteAddress) ?? new Map<number, Socket>();
      addresses.set(remoteAddress, ports.set(remotePort, socket));
      return () => {
        if (addresses.get(remoteAddress)?.get(remotePort) === socket) remove({ remoteAddress, remotePort });
      };
    },
    remove,
    /** Takes out the one that is to go first; undefined when there is none. */
    next(): Socket | undefined {
      let most: Map<number, Socket> | undefined;
      for (const ports of addresses.values()) if (ports.size > (most?.size ?? 0)) most = ports;
      const [oldest] = most?.values() ?? [];
      if (oldest !== undefined) remove(oldest);
      return oldest;
    },
  };
}
