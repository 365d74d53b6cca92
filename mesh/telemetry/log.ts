import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";
import { RpcError } from "#mesh/contract/errors.ts";

export type { Logger } from "pino";

export interface LogOptions {
  /** Which workload writes: `orders`. */
  readonly workload: string;
  readonly instance: string;
  readonly version: string;
  readonly level: string;
  /** Standard output unless given. */
  readonly destination?: DestinationStream;
}

/** Lines are gathered up to this size: one write for some forty calls, which else cost more than the lines. */
const BUFFER_BYTES = 16_000;
/** A line waits no longer than this. What is left is written when the process exits; a kill loses it. */
const FLUSH_INTERVAL_MS = 100;
/** How far a chain of causes is followed. */
const MAX_CAUSES = 5;

/** The log of a process: JSON lines with a level by name and the time in ISO 8601. */
export function createLogger(options: LogOptions): Logger {
  const { workload, instance, version, level } = options;
  return pino(
    {
      level,
      base: { workload, instance, version },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error, MAX_CAUSES) },
    },
    options.destination ?? standardOutput(),
  );
}

function standardOutput(): DestinationStream {
  return destination({ dest: 1, sync: false, minLength: BUFFER_BYTES, periodicFlush: FLUSH_INTERVAL_MS });
}

interface ErrorDescription {
  readonly type: string;
  readonly message: string;
  readonly code?: unknown;
  readonly reason?: string;
  readonly stack?: string;
  readonly cause?: ErrorDescription;
}

/**
 * An error and its causes. Only members that are known to be harmless are taken: drivers hang rows and parameters on
 * their errors, which have no place in a log.
 */
function describeError(error: unknown, causesLeft: number): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  return {
    type: error.name,
    message: error.message,
    code: "code" in error ? error.code : undefined,
    reason: error instanceof RpcError ? error.reason : undefined,
    stack: error.stack,
    cause: error.cause === undefined || causesLeft === 0 ? undefined : describeError(error.cause, causesLeft - 1),
  };
}
