/** What decides that an instance is left out, and for how long. */
export interface BreakerRules {
  /** Failures in a row, with no answer between them, that open it. */
  readonly failures: number;
  /** How long it stays open at first; doubles each time it opens again with no answer between. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

/** Follows how one instance answers, to leave it out while it answers nobody. */
export interface CircuitBreaker {
  /** Whether the instance is to be left out now. */
  isOpen(): boolean;
  /** It answered a call, however. */
  noteAnswer(): void;
  /** It lost a call, or said that it is not available. */
  noteFailure(): void;
}

/**
 * Closed until too many calls in a row fail; then open for a time; then half open, when the next failure opens it again,
 * for longer, and an answer closes it. `nowMs` is any clock that only goes forward.
 */
export function createCircuitBreaker(
  { failures, openMs, maxOpenMs }: BreakerRules,
  nowMs: () => number = () => performance.now(),
): CircuitBreaker {
  let inARow = 0;
  let opened = 0;
  let openUntilMs = 0;
  const isOpen = (): boolean => nowMs() < openUntilMs;
  return {
    isOpen,
    noteAnswer() {
      inARow = 0;
      opened = 0;
      openUntilMs = 0;
    },
    noteFailure() {
      // Calls that were under way when it opened say nothing new.
      if (isOpen()) return;
      inARow += 1;
      if (inARow < failures && opened === 0) return;
      openUntilMs = nowMs() + Math.min(maxOpenMs, openMs * 2 ** opened);
      opened += 1;
      inARow = 0;
    },
  };
}
