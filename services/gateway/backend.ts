import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { type BackendSession, dial } from "./backend-session.ts";
import { type CircuitBreaker, createCircuitBreaker } from "./circuit-breaker.ts";
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
  /** Takes no more calls. Running ones finish. */
  retire(): void;
  /** Ends everything at once. */
  destroy(): void;
}

export interface BackendOptions {
  readonly owner: string;
  readonly address: string;
  readonly openSocket: () => Duplex;
  readonly limits: GatewayLimits;
  readonly log: Pick<Logger, "info" | "warn">;
}

export function createBackend({ owner, address, openSocket, limits, log }: BackendOptions): Backend {
  const sessions = new Set<BackendSession>();
  let connecting: Promise<void> | undefined;
  let failure: Error | undefined;
  let failures = 0;
  let retryAtMs = 0;
  let gone = false;

  const open = async (): Promise<void> => {
    try {
      const onClosed = (session: BackendSession): void => {
        sessions.delete(session);
        if (!gone) log.info({ owner, address, lost: session.isLost() }, "backend connection closed");
      };
      const session = await dial({ authority: address, openSocket, limits, onClosed });
      if (gone) {
        session.destroy();
        throw new Error(`${address} is no longer in use`);
      }
      if (session.isOpen()) sessions.add(session);
      failure = undefined;
      failures = 0;
      log.info({ owner, address }, "backend connected");
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      retryAtMs = performance.now() + Math.min(limits.reconnectMaxMs, limits.reconnectMinMs * 2 ** failures);
      // One line for an outage, not one for each try.
      if (failures === 0 && !gone) log.warn({ owner, address, cause: failure.message }, "backend cannot be reached");
      failures += 1;
      throw failure;
    } finally {
      connecting = undefined;
    }
  };

  return {
    address,
    breaker: createCircuitBreaker(limits.breaker),
    ready() {
      for (const session of sessions) if (session.hasRoom()) return session;
      return undefined;
    },
    isFull: () => isFull(sessions, limits),
    connect() {
      if (connecting !== undefined) return connecting;
      if (failure !== undefined && performance.now() < retryAtMs) return Promise.reject(failure);
      connecting = open();
      return connecting;
    },
    retire() {
      gone = true;
      for (const session of sessions) session.retire();
    },
    destroy() {
      gone = true;
      for (const session of sessions) session.destroy();
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
