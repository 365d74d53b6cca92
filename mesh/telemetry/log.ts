import { type DestinationStream, type Logger, pino } from "pino";
import { systemClock } from "#mesh/clock.ts";
import { RpcError } from "#mesh/contract/errors.ts";
import { createLineOutput, fileSink } from "#mesh/telemetry/line-output.ts";

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

/** How far a chain of causes is followed. */
const MAX_CAUSES = 5;

/** The log of a process: JSON lines with a level by name and the time in ISO 8601. */
export function createLogger(options: LogOptions): Logger {
  const { workload, instance, version, level } = options;
  return pino(
    {
      level,
      base: { workload, instance, version },
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error, MAX_CAUSES) },
    },
    options.destination ?? standardOutput(),
  );
}

const STDOUT = 1;

function standardOutput(): DestinationStream {
  const output = createLineOutput(fileSink(STDOUT));
  process.once("exit", () => output.flushSync());
  return output;
}

/** The time as pino wants it, `,"time":"2026-06-01T12:00:00.000Z"`. Made anew once a second; only the end changes. */
function createTimestamp(): () => string {
  let second = Number.NaN;
  let start = "";
  return () => {
    const now = systemClock.now();
    const millisecond = now.getTime() % 1_000;
    if (now.getTime() - millisecond !== second) {
      second = now.getTime() - millisecond;
      start = `,"time":"${now.toISOString().slice(0, -"000Z".length)}`;
    }
    return `${start}${String(millisecond).padStart(3, "0")}Z"`;
  };
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
