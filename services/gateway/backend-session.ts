import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Duplex } from "node:stream";
import type { GatewayLimits } from "./limits.ts";
import { createBudget } from "./rate.ts";

/** One HTTP/2 connection to a backend that has said it takes calls. */
export interface BackendSession {
  /** Whether it takes another call now. */
  hasRoom(): boolean;
  /** Whether it takes no call for a while, since too many on it were cancelled. Running ones go on. */
  isResting(): boolean;
  /** Whether it takes calls at all: no GOAWAY came, and it isn't lost. */
  isOpen(): boolean;
  /** Whether the connection itself is gone, rather than one call on it. */
  isLost(): boolean;
  /** Opens a stream. Throws when the session was closed since `isOpen`. */
  request(headers: OutgoingHttpHeaders, options: { readonly endStream: boolean }): ClientHttp2Stream;
  /** Takes no more calls; ends when the running ones have. */
  retire(): void;
  /** Ends at once; running calls fail. */
  destroy(): void;
}

export interface DialOptions {
  readonly authority: string;
  readonly openSocket: () => Duplex;
  readonly limits: GatewayLimits;
  /** Called once, when the session takes no more calls, for whatever reason. */
  readonly onClosed: (session: BackendSession) => void;
}

/**
 * Opens a connection, and resolves when the peer's SETTINGS have come: by then somebody who speaks HTTP/2 has taken
 * it. Rejects when that fails or takes longer than `connectTimeoutMs`.
 */
export function dial({ authority, openSocket, limits, onClosed }: DialOptions): Promise<BackendSession> {
  return new Promise((resolve, reject) => {
    let socket: Duplex | undefined;
    const http2 = connect(`http://${authority}`, {
      // Opened in here: a socket that was opened before an authority that is none was refused would have nobody who
      // hears of its failure, which would end the process.
      createConnection() {
        socket = openSocket();
        return socket;
      },
      maxSessionMemory: limits.backendSessionMemoryMib,
      settings: { enablePush: false },
    });
    let failure = new Error("closed before it was set up");
    let answered = false;
    const giveUp = (): void => {
      if (!answered) http2.destroy(new Error(`no HTTP/2 settings came within ${limits.connectTimeoutMs} ms`));
    };
    // Looked at a turn later: after a pause of this process, timers fire before what has come meanwhile is read.
    const timer = setTimeout(() => setImmediate(giveUp), limits.connectTimeoutMs);
    http2.on("error", (error) => {
      failure = error;
    });
    // Both can come, in either order; the second reject or resolve does nothing.
    http2.once("close", () => {
      clearTimeout(timer);
      reject(failure);
    });
    http2.once("remoteSettings", () => {
      answered = true;
      clearTimeout(timer);
      http2.setLocalWindowSize(limits.backendWindowBytes);
      const session = createSession(http2, () => socket?.destroyed === true, limits);
      let told = false;
      const closed = (): void => {
        if (!told) onClosed(session);
        told = true;
      };
      http2.once("goaway", closed);
      http2.once("close", closed);
      keepAlive(http2, limits);
      resolve(session);
    });
  });
}

function createSession(http2: ClientHttp2Session, isCut: () => boolean, limits: GatewayLimits): BackendSession {
  let open = 0;
  let callsLeft = limits.callsPerSession;
  let retired = false;
  const isOpen = (): boolean => !retired && !http2.closed && !http2.destroyed;
  const capacity = (): number =>
    Math.min(limits.callsAtOncePerSession, http2.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY);
  const cancels = createBudget(limits.cancelsPerSession);
  let room = capacity();
  http2.on("remoteSettings", () => {
    room = capacity();
  });
  const session: BackendSession = {
    isOpen,
    hasRoom: () => open < room && isOpen() && cancels.left(),
    isResting: () => !cancels.left(),
    isLost: () => http2.destroyed || isCut(),
    request(headers, options) {
      const stream = http2.request(headers, options);
      open += 1;
      stream.once("close", () => {
        open -= 1;
        // A reset by the peer is counted too: rarely there, and one too many does no harm.
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || !stream.writableFinished) cancels.spend();
        // Nobody needs it, and a new one could take calls at once.
        if (open === 0 && !cancels.left()) session.retire();
      });
      callsLeft -= 1;
      if (callsLeft === 0) session.retire();
      return stream;
    },
    retire() {
      if (retired) return;
      retired = true;
      http2.close();
    },
    destroy() {
      retired = true;
      http2.destroy();
    },
  };
  return session;
}

/** Finds out that a peer vanished without closing its connection: only asking tells. */
function keepAlive(http2: ClientHttp2Session, limits: GatewayLimits): void {
  http2.setTimeout(limits.keepaliveMs);
  http2.on("timeout", () => {
    if (http2.destroyed) return;
    http2.setTimeout(limits.keepaliveMs); // it fires once, and only activity would wind it up again
    const timer = setTimeout(() => http2.destroy(), limits.keepaliveAckMs);
    const sent = http2.ping((error) => {
      clearTimeout(timer);
      if (error !== null && !http2.destroyed) http2.destroy();
    });
    // Not sent: another ping is under way, which has a timer of its own.
    if (!sent) clearTimeout(timer);
  });
}
