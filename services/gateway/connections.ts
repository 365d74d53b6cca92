import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { GatewayLimits } from "./limits.ts";
import { createBudget } from "./rate.ts";
import { createShares } from "./shares.ts";

/** All connections of callers, so that none and nobody takes them all. */
export interface Connections {
  /** Takes a new connection in; when its address has too many, ends it and returns undefined. */
  admit(socket: Socket): Entry | undefined;
  /** Notes that the kernel's connection was not even taken: there are too many in all. */
  noteDropped(): void;
  all(): Iterable<Entry>;
  /** Stops looking after them; they stay. */
  close(): void;
}

export interface Entry {
  readonly socket: Socket;
  /** Set when it is known what the connection speaks. */
  spoken: Conversation | undefined;
  /** Its session was over at the last look. A peer that doesn't close its own end would hold the socket for ever. */
  over: boolean;
}

/** What is spoken on a connection, HTTP/2 or HTTP/1. */
export interface Conversation {
  /** Since when it has had no call, on the clock of `performance.now`; undefined while it has one. */
  idleSinceMs(): number | undefined;
  /** Takes no more calls, those aside that come within `pauseMs`, and ends when the running ones have. */
  end(pauseMs: number): void;
  isEnding(): boolean;
  /** Whether all is said, whatever becomes of the socket. */
  isOver(): boolean;
  /** Ends at once; running calls fail. */
  destroy(): void;
}

/** More than this part of all connections in use, and idle ones are closed early. */
const PRESSURE = 0.8;

/** What is told of connections that were refused: an attacker would fill the log otherwise. */
const REFUSALS_LOGGED = { burst: 10, perSecond: 1 };

export function createConnections(limits: GatewayLimits, log: Pick<Logger, "info" | "warn">): Connections {
  const entries = new Set<Entry>();
  const shares = createShares({ total: limits.maxConnections, perAddress: limits.connectionsPerAddress });
  const logged = createBudget(REFUSALS_LOGGED);
  const warn = (what: string): void => {
    if (logged.take()) log.warn({ connections: entries.size }, `connection dropped: ${what}`);
  };
  const sweep = setInterval(() => {
    cutRemains(entries);
    relieve(entries, limits, log);
  }, limits.sweepMs);
  sweep.unref();
  return {
    admit(socket) {
      const leave = shares.take(socket.remoteAddress ?? "");
      if (leave === undefined) {
        warn("its address has too many");
        socket.destroy();
        return undefined;
      }
      const entry: Entry = { socket, spoken: undefined, over: false };
      entries.add(entry);
      socket.once("close", () => {
        entries.delete(entry);
        leave();
      });
      return entry;
    },
    noteDropped: () => warn("there are too many"),
    all: () => entries,
    close: () => clearInterval(sweep),
  };
}

/** Destroys the sockets that outlived their sessions by a whole round. */
function cutRemains(entries: ReadonlySet<Entry>): void {
  for (const entry of entries) {
    if (entry.over) entry.socket.destroy();
    else entry.over = entry.spoken?.isOver() === true;
  }
}

/** Under pressure, closes connections that have had no call for a while, the longest idle first. */
function relieve(entries: ReadonlySet<Entry>, limits: GatewayLimits, log: Pick<Logger, "info">): void {
  const excess = entries.size - Math.floor(limits.maxConnections * PRESSURE);
  if (excess <= 0) return;
  const idleBeforeMs = performance.now() - limits.idleUnderPressureMs;
  const idle: { readonly spoken: Conversation; readonly sinceMs: number }[] = [];
  for (const { spoken } of entries) {
    const sinceMs = spoken?.idleSinceMs();
    if (spoken === undefined || sinceMs === undefined || sinceMs > idleBeforeMs) continue;
    if (!spoken.isEnding()) idle.push({ spoken, sinceMs });
  }
  const closing = idle.sort((a, b) => a.sinceMs - b.sinceMs).slice(0, excess);
  for (const { spoken } of closing) spoken.end(0);
  if (closing.length > 0) log.info({ connections: entries.size, closing: closing.length }, "closing idle connections");
}
