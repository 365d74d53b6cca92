import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { type BackendSession, dial } from "./backend-session.ts";
import { type CircuitBreaker, createCircuitBreaker } from "./circuit-breaker.ts";
import type { DialQueue } from "./dial-queue.ts";
import type { GatewayLimits } from "./limits.ts";

/** One instance of a service, at one address. */
export interface Backend {
  readonly address: string;
  /** Whether it answers. */
  readonly breaker: CircuitBreaker;
  /** A session that takes a call now, if there is one. */
  ready(): BackendSession | undefined;
  /** Whether it may not have more sessions. Those that rest count only as far as their own bound is exceeded. */
  isFull(): boolean;
  /**
   * Opens a session, or waits for the one that is being opened. Rejects when that fails; at once, with the last
   * failure, shortly after one. Never called for nothing: a caller that needs no session may ignore the outcome.
   */
  connect(): Promise<void>;
  /** The same without waiting. Does nothing while one is being opened, or shortly after a failure. */
  prepare(): void;
  /** Takes no more calls. Running ones finish. */
  retire(): void;
  /** Ends everything at once. */
  destroy(): void;
}

export interface BackendOptions {
  readonly owner: string;
  readonly address: string;
  readonly openSocket: () => Duplex;
  /** In which it waits its turn among its service's instances. */
  readonly dials: DialQueue;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn">;
}

export function createBackend(options: BackendOptions): Backend {
  const { owner, address, limits, log } = options;
  const sessions = new Set<BackendSession>();
  const leaving = new AbortController();
  const gone = leaving.signal;
  const leave = (): void => leaving.abort(new Error(`${address} is no longer in use`));
  const onClosed = (session: BackendSession): void => {
    sessions.delete(session);
    if (!gone.aborted) log.info({ owner, address, lost: session.isLost() }, "backend connection closed");
  };
  const connector = createConnector({ ...options, gone, onClosed }, (session) => {
    if (session.isOpen()) sessions.add(session);
  });
  return {
    ...connector,
    address,
    breaker: createCircuitBreaker(limits.breaker),
    ready() {
      for (const session of sessions) if (session.hasRoom()) return session;
      return undefined;
    },
    isFull: () => isFull(sessions, limits),
    retire() {
      leave();
      for (const session of sessions) session.retire();
    },
    destroy() {
      leave();
      for (const session of sessions) session.destroy();
    },
  };
}

interface ConnectorOptions extends BackendOptions {
  /** Aborted when the instance is no longer in use. */
  readonly gone: AbortSignal;
  readonly onClosed: (session: BackendSession) => void;
}

/** Opens sessions, one at a time, and gives each to `take`. */
function createConnector(
  { owner, address, openSocket, dials, limits, log, gone, onClosed }: ConnectorOptions,
  take: (session: BackendSession) => void,
): Pick<Backend, "connect" | "prepare"> {
  let connecting: Promise<void> | undefined;
  let failure: Error | undefined;
  let failures = 0;
  let retryAtMs = 0;

  const open = async (): Promise<void> => {
    try {
      const options = { authority: address, openSocket, limits, onClosed };
      const session = await dials.dial({ failures, gone }, () => dial(options));
      if (gone.aborted) session.destroy();
      gone.throwIfAborted();
      take(session);
      failure = undefined;
      failures = 0;
      retryAtMs = 0;
      log.info({ owner, address }, "backend connected");
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      retryAtMs = performance.now() + Math.min(limits.reconnectMaxMs, limits.reconnectMinMs * 2 ** failures);
      const cause = failure.message;
      // One line for an outage, not one for each try.
      if (failures === 0 && !gone.aborted) log.warn({ owner, address, cause }, "backend cannot be reached");
      failures += 1;
      throw failure;
    } finally {
      connecting = undefined;
    }
  };
  const failedJustNow = (): boolean => connecting === undefined && performance.now() < retryAtMs;
  const connect = (): Promise<void> => {
    connecting ??= open();
    return connecting;
  };
  return {
    connect: () => (failedJustNow() ? Promise.reject(failure) : connect()),
    prepare() {
      // Its failure stays here, and is told when nothing else is left.
      if (connecting === undefined && !failedJustNow()) connect().catch(() => undefined);
    },
  };
}

function isFull(sessions: ReadonlySet<BackendSession>, limits: GatewayLimits): boolean {
  let resting = 0;
  for (const session of sessions) if (session.isResting()) resting += 1;
  const { sessionsPerAddress, restingSessionsPerAddress } = limits;
  return (
    sessions.size - resting >= sessionsPerAddress || sessions.size >= sessionsPerAddress + restingSessionsPerAddress
  );
}
