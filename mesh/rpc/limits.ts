// What one process takes from its peers, so that none of them can exhaust it.

/** One message, compressed or not. Larger things are streamed. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Headers of one call. */
export const MAX_METADATA_BYTES = 16 * 1024;

/** Calls answered once that run at a time, at the most: 10 ms each at this number is 100,000 a second, more than a core does. */
export const MAX_CONCURRENT_CALLS = 1_000;

/** The same at the least, however long the lines are: as many as keep a process busy while most of them wait. */
export const MIN_CONCURRENT_CALLS = 32;

/** The same in a process that has not yet seen more at once: a burst is taken, and a flood is not half a second of work. */
export const START_CONCURRENT_CALLS = 400;

/** When a call that found no room should come again: from half of this on to one and a half, so that not all come at once. */
export const OVERLOAD_RETRY_MS = 400;

/** What a listener takes of streams and connections. */
export interface ListenerLimits {
  /** Calls answered by a stream that are open at a time. */
  readonly streams: number;
  /** Of them, those without a user from one address, or of one calling service. */
  readonly streamsPerClient: number;
  /** Connections at a time, those in the middle of their handshake among them; one workload has half. Every caller needs one or two. */
  readonly connections: number;
  /** How long a connection lives until its caller is to make another one; undefined for ever. Milliseconds. */
  readonly connectionAgeMs: number | undefined;
  /** How long until a connection is tried, and how long it may take to answer; one that does not is dead. */
  readonly keepalive: Keepalive;
}

/** When a connection is found to be dead: after so long without a sign of life, and so long without an answer to a ping. */
export interface Keepalive {
  readonly timeMs: number;
  readonly timeoutMs: number;
}

/**
 * Between control and everybody else: the streams are quiet for hours, and whoever is gone must be missed within ten
 * seconds. A process that stands still for that long loses its connection, and comes back when it goes on.
 */
export const CONTROL_KEEPALIVE: Keepalive = { timeMs: 5_000, timeoutMs: 5_000 };

/**
 * Of the streams, 5,000 may watch one sort of thing (`MAX_WATCHES`), which leaves room for those that end by themselves.
 * One client has a few hundred of them, since many share an address. No connection lives for ever, so that callers spread
 * anew over what there is by then.
 */
export const LISTENER_LIMITS: ListenerLimits = {
  streams: 6_000,
  streamsPerClient: 250,
  connections: 1_000,
  connectionAgeMs: 60 * 60_000,
  keepalive: { timeMs: 60_000, timeoutMs: 20_000 },
};

/** Of the streams, those of one user. A person watches some orders; one that opens more leaves room for others. */
export const MAX_STREAMS_PER_USER = 62;

/** Calls at a time on one connection, held by HTTP/2 itself: the caller's side waits. */
export const MAX_STREAMS_PER_CONNECTION = 1_000;

/** Memory that one connection may hold in Node's HTTP/2, in megabytes; a peer that reads nothing reaches it. */
export const MAX_SESSION_MEMORY_MB = 64;
