/** How long to wait between attempts: twice as long each time. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * The wait after the `attempt`-th attempt, from 0, at an event: up to a quarter less than the backoff says, so that
 * events which failed together do not all come again together.
 */
export function backoffMs({ firstMs, maxMs }: Backoff, attempt: number, place: number): number {
  const fullMs = Math.min(maxMs, firstMs * 2 ** attempt);
  return Math.round(fullMs * (1 - fraction(place + attempt) / 4));
}

/** A wait of up to `maxMs`, different for each event and always the same for one. */
export function shuffleMs(place: number, maxMs: number): number {
  return Math.round(fraction(place) * maxMs);
}

/** A number from 0 to 1 that looks random (a multiplicative hash by the golden ratio, 32 bit). */
function fraction(place: number): number {
  return (Math.imul(place + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
}
