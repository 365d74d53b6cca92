/** How often something may happen: so many times at once, and one more time after each interval. */
export interface Pace {
  readonly burst: number;
  readonly everyMs: number;
}

/**
 * The next turn of somebody who has kept to a pace: how long it has to wait, and what to pass as `before` for the one
 * after it; undefined for who has had none. (The virtual scheduling form of the generic cell rate algorithm, ITU-T I.371.)
 */
export function nextTurn(
  { burst, everyMs }: Pace,
  before: number | undefined,
  nowMs: number,
): { readonly waitMs: number; readonly after: number } {
  const after = Math.max(before ?? nowMs, nowMs) + everyMs;
  return { waitMs: Math.max(0, after - nowMs - burst * everyMs), after };
}

/** Reads at a pace. What comes faster waits with its sender, by the flow control of its stream. */
export async function* paced<T>(requests: AsyncIterable<T>, pace: Pace): AsyncGenerator<T> {
  let before: number | undefined;
  for await (const request of requests) {
    const nowMs = performance.now();
    const { waitMs, after } = nextTurn(pace, before, nowMs);
    before = after;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    yield request;
  }
}

/** What control reads from one stream: many times what a process has to say. */
export const STREAM_PACE: Pace = { burst: 50, everyMs: 50 };
