/**
 * How many calls a process lets run at a time, as it goes: additive increase, multiplicative decrease, steered by how
 * long work waits in the lines of this process (for the event loop, for a connection to the database).
 *
 * Waiting is the signal, and not how long calls take. The known limiters of concurrency compare the latency with the
 * least one they have seen (TCP Vegas, Brakmo and Peterson 1994; Netflix's gradient and Envoy's adaptive concurrency
 * filter after it), which has to tell work from waiting by guessing. Here that guess is wrong too often: one method
 * hashes passwords and another reads one row, a page has one product or a hundred, a payment gateway has a slow hour,
 * and a callee that is overloaded would make all its callers believe that they are. The least latency has to be found
 * anew as well, which costs either good calls (Envoy lets few in for it) or a baseline that drifts into the overload.
 * A line measures waiting alone, and has none of these: DAGOR (Zhou et al., Overload Control for Scaling WeChat
 * Microservices, SoCC 2018, section 4.1) sheds by the time in the queue for that reason, and Breakwater (Cho et al.,
 * OSDI 2020) gives credits by it. That only a line which stands is too long, and one that comes and goes is not, is from
 * CoDel (RFC 8289); the law of increase and decrease from Chiu and Jain, 1989.
 */
export function nextLimit(limit: number, { pressure, peak }: LimitWindow, { min, start, max }: LimitBounds): number {
  if (pressure <= 1) {
    // What nobody uses proves nothing; but what an overload took is given back without being asked for.
    const wanted = limit < start || peak >= limit / 2;
    return wanted ? Math.min(max, limit + Math.sqrt(limit) * (1 - pressure)) : limit;
  }
  // A limit that nothing came near had no part in it: what ran is what was too much (as in RFC 7661).
  return Math.max(min, Math.min(limit, peak) * Math.max(STRONGEST_CUT, 1 / pressure));
}

/** What one window of time told. */
export interface LimitWindow {
  /** How long work waited, as a multiple of what is tolerated: the median, which a single stall does not move. */
  readonly pressure: number;
  /** The most calls that ran at a time. */
  readonly peak: number;
}

export interface LimitBounds {
  readonly min: number;
  /** Where a limit begins of which nothing is known yet. */
  readonly start: number;
  readonly max: number;
}

/** What is left of a limit at the least; the next window tells what that did. */
const STRONGEST_CUT = 0.5;
