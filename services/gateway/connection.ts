import { constants, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Logger } from "pino";
import type { Conversation } from "./connections.ts";
import { type ReceivedHeaders, rawOf } from "./headers.ts";
import type { GatewayLimits } from "./limits.ts";
import { type Budget, createBudget } from "./rate.ts";

/** One caller's connection, and what it has used up of its patience. */
export interface Connection {
  /** The caller's address, without a port. */
  readonly peer: string;
  /** Notes that a call began, so that the connection isn't idle; returns what to call when it is over. */
  enter(): () => void;
  /** The caller cancelled a call. */
  noteReset(): void;
  /** The caller asked for something that isn't a call to anything here. */
  noteRefusal(): void;
}

/** What came on a new stream. */
export interface Arrival {
  readonly stream: ServerHttp2Stream;
  readonly received: ReceivedHeaders;
  /** Whether the request ended with its headers. */
  readonly endStream: boolean;
  readonly connection: Connection;
}

export interface ConnectionOptions {
  readonly session: ServerHttp2Session;
  readonly peer: string;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "warn" | "error">;
  readonly onStream: (arrival: Arrival) => void;
}

/** Watches over one session: hands on its streams, and closes it when it floods, idles or died. */
export function guardConnection({ session, peer, limits, log, onStream }: ConnectionOptions): Conversation {
  let openCalls = 0;
  let idleSinceMs = performance.now();

  const guard = (what: string, budget: Budget) => (): void => {
    if (session.destroyed || budget.take()) return;
    log.warn({ peer, flood: what }, "connection closed: too many frames of one kind");
    session.destroy(new Error(`too many: ${what}`), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  const connection: Connection = {
    peer,
    enter() {
      openCalls += 1;
      return () => {
        openCalls -= 1;
        if (openCalls === 0) idleSinceMs = performance.now();
      };
    },
    noteReset: guard("RST_STREAM", createBudget(limits.resets)),
    noteRefusal: guard("requests for nothing here", createBudget(limits.refusals)),
  };

  session.on("error", () => undefined); // "close" follows; a broken peer is its own affair
  session.on("ping", unlessSent(session, guard("PING", createBudget(limits.pings))));
  session.on("remoteSettings", guard("SETTINGS", createBudget(limits.settings)));
  session.on("stream", (stream, parsed: IncomingHttpHeaders, flags: number, ...rest: unknown[]) => {
    stream.on("error", () => undefined);
    // Opened and reset in one breath: it must cost no backend anything.
    if (stream.destroyed || stream.aborted) {
      connection.noteReset();
      return;
    }
    const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    try {
      onStream({ stream, received: { parsed, raw: rawOf(rest) }, endStream, connection });
    } catch (error) {
      // A defect that one request meets must not end the calls of all others with the process.
      log.error({ peer, err: error }, "a request could not be taken");
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  });
  const silenceMs = Math.min(limits.keepaliveMs, limits.idleConnectionMs);
  session.setTimeout(silenceMs);
  session.on("timeout", () => {
    session.setTimeout(silenceMs); // it fires once, and only activity would wind it up again
    if (openCalls > 0) askWhetherAlive(session, limits.keepaliveAckMs);
    else if (performance.now() - idleSinceMs >= limits.idleConnectionMs) session.close();
  });
  return {
    idleSinceMs: () => (openCalls === 0 ? idleSinceMs : undefined),
    end: (pauseMs) => sayGoodbye(session, pauseMs),
    isEnding: () => session.closed || session.destroyed,
    isOver: () => session.destroyed,
    destroy: () => session.destroy(),
  };
}

/** The id that a first GOAWAY names: any stream on its way may still come. */
const LAST_STREAM_ID = 2 ** 31 - 1;

/**
 * Ends a session without failing a call: first a GOAWAY that still admits what is on its way, and after a pause the one
 * that doesn't (RFC 9113, section 6.8). The answer to a ping would not do for the pause: it overtakes requests.
 */
function sayGoodbye(session: ServerHttp2Session, pauseMs: number): void {
  if (session.destroyed || session.closed) return;
  if (pauseMs === 0) {
    session.close();
    return;
  }
  session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM_ID);
  const timer = setTimeout(() => session.close(), pauseMs);
  session.once("close", () => clearTimeout(timer));
}

/** What the answers to some pings weigh: 17 bytes each. */
const PING_ANSWERS_BYTES = 256;

/**
 * Excuses a ping when data went out since the last one: clients measure the line's bandwidth with a ping for each
 * round trip while they receive (grpc-go, gRPC's C core), which on a short line is thousands a second.
 */
function unlessSent(session: ServerHttp2Session, count: () => void): () => void {
  let sentBytes = 0;
  return () => {
    if (session.destroyed) return;
    const { bytesWritten } = session.socket;
    const idle = bytesWritten - sentBytes < PING_ANSWERS_BYTES;
    sentBytes = bytesWritten;
    if (idle) count();
  };
}

/** A peer that vanished without a word would hold its calls open until their time is up. */
function askWhetherAlive(session: ServerHttp2Session, ackMs: number): void {
  if (session.destroyed) return;
  const timer = setTimeout(() => session.destroy(), ackMs);
  timer.unref();
  // An error is no answer: too many pings of ours are open already, or this one could not be sent. The timer stays.
  session.ping((error) => {
    if (error === null) clearTimeout(timer);
  });
}
