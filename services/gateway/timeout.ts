/** How long a caller gives a call, as gRPC writes it: at most eight digits and a unit. */
export const TIMEOUT_HEADER = "grpc-timeout";

const MS_PER_UNIT: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** 2^31 − 1 ms: the longest that grpc-js can count. One that is longer would be over before it began. */
const MAX_TIMEOUT_SECONDS = 2_147_483;

/** The digits of a timeout are eight at most. */
const MAX_DIGITS_MS = 99_999_999;

/** In milliseconds; undefined for what is no timeout. */
export function parseTimeout(timeout: string): number | undefined {
  const [, digits, unit = ""] = /^(\d+)\s*([HMSmun])$/.exec(timeout) ?? [];
  const unitMs = MS_PER_UNIT[unit];
  return digits === undefined || unitMs === undefined ? undefined : Number(digits) * unitMs;
}

/** A timeout that servers can count, in place of one that they cannot. All others stay as they came, also wrong ones. */
export function withinTimers(timeout: string): string {
  const ms = parseTimeout(timeout);
  return ms !== undefined && ms > MAX_TIMEOUT_SECONDS * 1_000 ? `${MAX_TIMEOUT_SECONDS}S` : timeout;
}

/** What is left of a timeout when so much of it is used up. One that is over is as short as can be written. */
export function lessTimeout(timeout: string, usedMs: number): string {
  const ms = parseTimeout(timeout);
  if (ms === undefined) return timeout;
  const leftMs = Math.max(Math.floor(ms - usedMs), 1);
  return leftMs > MAX_DIGITS_MS ? withinTimers(`${Math.floor(leftMs / 1_000)}S`) : `${leftMs}m`;
}
