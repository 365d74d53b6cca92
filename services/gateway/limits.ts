import type { BreakerRules } from "./circuit-breaker.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const KIB = 1_024;
const MIB = 1_024 * KIB;

/** Every bound the gateway keeps. Tests make them small; `defaultLimits` is what runs. */
export interface GatewayLimits {
  readonly maxConnections: number;
  readonly connectionsPerAddress: number;
  readonly maxCalls: number;
  readonly callsPerAddress: number;
  readonly maxConcurrentStreams: number;
  readonly sessionMemoryMib: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaderPairs: number;
  readonly prefaceTimeoutMs: number;
  readonly idleConnectionMs: number;
  readonly idleUnderPressureMs: number;
  readonly sweepMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveAckMs: number;
  readonly resets: Rate;
  readonly pings: Rate;
  readonly settings: Rate;
  readonly refusals: Rate;
  readonly http1Connections: number;
  readonly http1PerAddress: number;
  readonly http1HeadMs: number;
  readonly http1BodyMs: number;
  readonly http1IdleMs: number;
  readonly http1LingerMs: number;
  readonly http1RequestsPerConnection: number;
  readonly maxWebhooks: number;
  readonly webhookCallMs: number;
  readonly idleCallMs: number;
  readonly maxCallMs: number;
  readonly deadlineGraceMs: number;
  readonly cutOffMs: number;
  readonly replayBytes: number;
  readonly connectTimeoutMs: number;
  readonly dialsAtOnce: number;
  readonly dialPauseMs: number;
  readonly connectWaitMs: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  readonly sessionsPerAddress: number;
  readonly restingSessionsPerAddress: number;
  readonly callsPerSession: number;
  readonly callsAtOncePerSession: number;
  readonly cancelsPerSession: Rate;
  readonly backendSessionMemoryMib: number;
  readonly backendWindowBytes: number;
  readonly breaker: BreakerRules;
  readonly healthRetryMs: number;
  readonly knownMs: number;
  readonly shutdownMs: number;
  readonly goawayPauseMs: number;
  readonly lastPrefaceMs: number;
}

/** A token bucket: `burst` at once, then `perSecond`. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export const defaultLimits: GatewayLimits = {
  // --- Callers

  /** Connections at a time; the kernel's further ones are dropped. A caller needs one; a thousand fit the file limit. */
  maxConnections: 1_000,
  /** Of one address: most, since on one machine, or behind one proxy, everybody has the same; but never all. */
  connectionsPerAddress: 900,
  /** Calls at a time in the whole process, which costs some 30 KB for each; over it they are shed with RetryInfo. */
  maxCalls: 5_000,
  /** Of one address, shed in the same way. */
  callsPerAddress: 4_000,
  /** Calls at a time on one connection: a twentieth of all. A client keeps further ones in its own queue. */
  maxConcurrentStreams: 250,
  /** What one connection may hold in buffers; past it new streams are refused. 64 KiB for each of 250, four times. */
  sessionMemoryMib: 64,
  /** The header block of a call. Services refuse metadata over 16 KiB, so no more needs to reach them. */
  maxHeaderBytes: 16 * KIB,
  /** Entries of that block, pseudo headers included. */
  maxHeaderPairs: 100,
  /** From a connection's start to the HTTP/2 preface: a round trip, even of a slow line. */
  prefaceTimeoutMs: 10 * SECOND_MS,
  /** How long a connection stays without a call. Clients open another when they need it. */
  idleConnectionMs: 10 * MINUTE_MS,
  /** The same while more than four fifths of all connections are in use; those idle longest are closed first. */
  idleUnderPressureMs: 30 * SECOND_MS,
  /** How often that is looked at, and how long a client has to close its end of a connection that is over. */
  sweepMs: 1 * SECOND_MS,
  /** Silence after which a connection with open calls is asked whether it still lives. */
  keepaliveMs: 30 * SECOND_MS,
  /** How long it has to answer. */
  keepaliveAckMs: 10 * SECOND_MS,
  /**
   * RST_STREAM frames of one connection that cancel calls. All calls of a connection may time out at once; a stream of
   * open-and-cancel beyond that is the rapid reset attack. Stays under nghttp2's own bound (1,000, then 33 a second),
   * which would answer with a less telling error.
   */
  resets: { burst: 600, perSecond: 30 },
  /** PING frames of one connection while nothing goes out on it. Clients send one in some seconds to keep it alive. */
  pings: { burst: 100, perSecond: 10 },
  /** SETTINGS frames of one connection. One is usual. */
  settings: { burst: 20, perSecond: 1 },
  /** Requests of one connection that aren't calls to anything here. A person who explores makes some; a scanner many. */
  refusals: { burst: 500, perSecond: 50 },

  // --- HTTP/1, for webhooks alone

  /** Connections at a time that speak it: a fifth of all, since who posts webhooks needs a few. */
  http1Connections: 200,
  /** Of one address: most, as above, but never all. */
  http1PerAddress: 150,
  /** From a connection's first byte to the end of a request's head. A head is one packet. */
  http1HeadMs: 10 * SECOND_MS,
  /** From there to the end of its body, which is 64 KiB at most. */
  http1BodyMs: 10 * SECOND_MS,
  /** From an answer to the next request's head on the same connection. */
  http1IdleMs: 15 * SECOND_MS,
  /** How long a sender who is refused has to read why before the connection is cut. */
  http1LingerMs: 1 * SECOND_MS,
  /** Requests on one connection before it is closed, so that none lives for ever. */
  http1RequestsPerConnection: 1_000,
  /** Webhooks that are handed on at a time, up to 64 KiB each. They count as calls, too. */
  maxWebhooks: 100,
  /** How long payments has for one; the sender tries again after more. */
  webhookCallMs: 10 * SECOND_MS,

  // --- Calls

  /** How long a call may go without a byte either way. Watching streams may be silent for long; their clients resume. */
  idleCallMs: 30 * MINUTE_MS,
  /** The longest any call may take, where the contract names no shorter deadline. */
  maxCallMs: 60 * MINUTE_MS,
  /** How much longer than its method's deadline a call may take. The callee ends it before, unless it is broken. */
  deadlineGraceMs: 2 * SECOND_MS,
  /** How long a stream that was destroyed has to be gone; its connection is cut then. One turn of the loop is usual. */
  cutOffMs: 1 * SECOND_MS,
  /** How much of a request is kept until the first answer, to send it again to another instance. */
  replayBytes: 64 * KIB,

  // --- Backends

  /** From dialling to the peer's SETTINGS frame: a busy machine needs some of it, a dead address all. */
  connectTimeoutMs: 2 * SECOND_MS,
  /** Dials at a time to one service's instances, of which few have more … */
  dialsAtOnce: 32,
  /** … and how long a failed one counts among them: 64 a second, then, each of which costs half a millisecond. */
  dialPauseMs: 500,
  /** How long a call waits for a connection, if that many instances do not answer and others have to wait their turn. */
  connectWaitMs: 4 * SECOND_MS,
  /** After a failed dial, calls fail at once for this long; it doubles with each further failure … */
  reconnectMinMs: 50,
  /** … up to this, so that an instance that came back is used within half a second. */
  reconnectMaxMs: 500,
  /** Connections to one address that take calls. One does, until its bound on concurrent calls is reached. */
  sessionsPerAddress: 8,
  /** Further ones that rest, because too many calls on them were cancelled. Each costs a socket on both sides. */
  restingSessionsPerAddress: 24,
  /** Calls over one connection before it is replaced: stream ids are 31 bits, and half of them are ours. */
  callsPerSession: 500_000_000,
  /**
   * Calls at a time over one connection, and how many on it may have been cancelled for it to take another call. The
   * cancels of any caller count against the connection that all share, and at 1,000 (refilled by 33 a second) nghttp2
   * ends it with all its calls. Even if all 600 are cancelled at once after 300 others, that is 900.
   */
  callsAtOncePerSession: 600,
  cancelsPerSession: { burst: 300, perSecond: 30 },
  /** What one backend connection may hold in buffers: all calls to an address share it. */
  backendSessionMemoryMib: 512,
  /** How much an unread response may fill, per connection; each call has HTTP/2's 64 KiB. */
  backendWindowBytes: 1 * MIB,
  /**
   * An instance that fails five calls in a row is left out while others are there: at first for a second, in which a
   * process may start anew, and for half a minute at most.
   */
  breaker: { failures: 5, openMs: 1 * SECOND_MS, maxOpenMs: 30 * SECOND_MS },
  /** How soon a broken health watch is tried again. */
  healthRetryMs: 500,

  // --- The process

  /** How long a start waits to hear where the services are. */
  knownMs: 5 * SECOND_MS,
  /** How long running calls have to finish at shutdown. */
  shutdownMs: 10 * SECOND_MS,
  /** From telling a client that the gateway ends to refusing its calls: a round trip, for what is on its way. */
  goawayPauseMs: 200,
  /** How long, from then on, a connection that was just accepted has to say its first word. */
  lastPrefaceMs: 1 * SECOND_MS,
};
