import { writeSync } from "node:fs";
import { type DestinationStream, destination, type Logger, pino } from "pino";
import { systemClock } from "#mesh/clock.ts";
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

/** Lines are gathered up to this size: one write for some two hundred calls, which else cost more than the lines. */
const BUFFER_BYTES = 64 * 1024;
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
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error, MAX_CAUSES) },
    },
    options.destination ?? standardOutput(),
  );
}

const STDOUT = 1;

function isWritable(fd: number): boolean {
  try {
    writeSync(fd, "\n");
    return true;
  } catch {
    return false;
  }
}

function standardOutput(): DestinationStream {
  const output = destination({
    dest: STDOUT,
    sync: false,
    minLength: BUFFER_BYTES,
    maxWrite: 2 * BUFFER_BYTES,
    periodicFlush: FLUSH_INTERVAL_MS,
  });
  // Whoever started this process may have been the reader too. Against a broken pipe sonic-boom repeats its last write
  // for ever, so when they are gone an empty line tries the pipe first. (To listen for their going would keep a process
  // alive that has nothing else to do.)
  const hadParent = process.connected;
  const flushSync = output.flushSync.bind(output);
  output.flushSync = () => {
    if (!hadParent || process.connected || isWritable(STDOUT)) flushSync();
  };
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
