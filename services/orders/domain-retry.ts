/** The wait after the first failure of a step. It doubles with each further one. */
export const FIRST_BACKOFF_MS = 200;

/** The longest wait between two tries. */
export const MAX_BACKOFF_MS = 60_000;

/** From so many failed tries of one step on, an order counts as stuck: about a minute after the first. */
export const STUCK_ATTEMPTS = 8;

/**
 * How long to wait after the `attempts`-th failure in a row, in milliseconds: between half and all of the doubled
 * wait, as `jitter` (at least 0, less than 1) says, so that orders which failed together do not come again together.
 */
export function backoffMs(attempts: number, jitter: number): number {
  const full = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, attempts - 1));
  return Math.round(full / 2 + (full / 2) * jitter);
}
