import type { Logger } from "pino";
import { RpcError } from "#mesh/contract/errors.ts";
import { random as chance } from "#mesh/random.ts";

export interface LastingStreamOptions {
  /** What it is, for the log. */
  readonly name: string;
  readonly log: Pick<Logger, "info" | "warn">;
  /**
   * Opens one stream; resolves or rejects when it has ended. Calls `established` at each answer. Aborted by `signal` when
   * another stream has taken its place, or none is wanted.
   */
  readonly open: (stream: OpenStream) => Promise<void>;
  /** From 0 up to and without 1. */
  readonly random?: () => number;
}

export interface OpenStream {
  readonly signal: AbortSignal;
  readonly established: () => void;
}

/** After a stream broke, everybody comes back within this time, each at another moment: nobody is met by all at once. */
const FIRST_RETRY_MS = 1_000;
/** A stream that could not be opened is tried again after a part of this, twice as long each time … */
const BACKOFF_MS = 250;
/** … but never longer. */
const MAX_BACKOFF_MS = 5_000;
/** How long the first answer may take. */
const ESTABLISH_MS = 5_000;
/**
 * How long a stream is used, give or take a fifth. A server may let a connection end after ten minutes of grace, and
 * every call has a deadline: well before both, another stream stands ready and the old one is let go.
 */
const RENEW_MS = 300_000;
/** For the deadline of one stream: longer than any is used. */
export const STREAM_TIMEOUT_MS = 600_000;

/** A stream that lived for less was no success: whatever ended it may do so again. */
const STEADY_MS = 5_000;

interface Attempt {
  readonly controller: AbortController;
  readonly tooLate: NodeJS.Timeout;
  establishedAtMs: number;
}

/**
 * A stream to the control plane that is kept open: begun again when it breaks, and replaced before it grows old, by another
 * that stands before the old one is let go. Opens the first at once.
 */
export class LastingStream {
  readonly #options: Required<LastingStreamOptions>;
  #current: Attempt | undefined;
  #pending: Attempt | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #held = false;

  constructor({ random = chance, ...options }: LastingStreamOptions) {
    this.#options = { random, ...options };
    this.#begin();
  }

  /** From now on begins no further stream, but one at once if there is none. What is open or on its way stays. */
  hold(): void {
    if (this.#held) return;
    this.#held = true;
    clearTimeout(this.#timer);
    if (this.#current === undefined && this.#pending === undefined) this.#begin();
  }

  /** Ends it. Idempotent. */
  close(): void {
    this.#held = true;
    clearTimeout(this.#timer);
    const [current, pending] = [this.#current, this.#pending];
    this.#pending = undefined;
    if (current !== undefined) abandon(current);
    if (pending !== undefined) abandon(pending);
  }

  #beginIn(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#held) this.#timer = setTimeout(() => this.#begin(), delayMs);
  }

  #begin(): void {
    const controller = new AbortController();
    const tooLate = setTimeout(() => controller.abort(new StreamLost("no answer came")), ESTABLISH_MS);
    const attempt: Attempt = { controller, tooLate, establishedAtMs: 0 };
    this.#pending = attempt;
    const established = (): void => this.#established(attempt);
    this.#options.open({ signal: controller.signal, established }).then(
      () => this.#ended(attempt, undefined),
      (error: unknown) => this.#ended(attempt, error),
    );
  }

  #established(attempt: Attempt): void {
    if (attempt !== this.#pending) return;
    const { log, name, random } = this.#options;
    clearTimeout(attempt.tooLate);
    const before = this.#current;
    if (before === undefined) log.info({ stream: name, failures: this.#failures }, "control answers");
    else abandon(before);
    this.#pending = undefined;
    this.#current = attempt;
    attempt.establishedAtMs = performance.now();
    this.#beginIn(RENEW_MS * (0.8 + 0.4 * random()));
  }

  #ended(attempt: Attempt, error: unknown): void {
    const { log, name, random } = this.#options;
    clearTimeout(attempt.tooLate);
    if (attempt === this.#current) {
      this.#current = undefined;
      // Its successor is on the way already.
      if (this.#held || this.#pending !== undefined) return;
      log.warn({ stream: name, ...causeOf(error) }, "control is lost; going on with what is known");
      if (performance.now() - attempt.establishedAtMs >= STEADY_MS) this.#failures = 0;
      this.#beginIn(this.#failures === 0 ? FIRST_RETRY_MS * random() : this.#backoffMs());
      this.#failures += 1;
    } else if (attempt === this.#pending) {
      this.#pending = undefined;
      // One line for an outage, not one for each try.
      if (this.#failures === 0) log.warn({ stream: name, ...causeOf(error) }, "control cannot be reached");
      this.#failures += 1;
      this.#beginIn(this.#backoffMs());
    }
  }

  #backoffMs(): number {
    return Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** this.#failures) * this.#options.random();
  }
}

/** A stream that control ended, or that nobody answers on, was undone. To be told in a line: it is expected. */
export class StreamLost extends Error {
  override readonly name = "StreamLost";
}

/** In words when it is a failure that must be expected, and with its stack when it is a defect. */
function causeOf(error: unknown): Readonly<Record<string, unknown>> {
  if (error === undefined) return { reason: "it was ended" };
  if (error instanceof RpcError) return { reason: error.reason, cause: error.message };
  return error instanceof StreamLost ? { cause: error.message } : { err: error };
}

function abandon({ controller, tooLate }: Attempt): void {
  clearTimeout(tooLate);
  controller.abort();
}
