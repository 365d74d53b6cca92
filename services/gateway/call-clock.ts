import { constants, type ServerHttp2Stream } from "node:http2";
import type { GatewayLimits } from "./limits.ts";
import { lessTimeout, parseTimeout, withinTimers } from "./timeout.ts";

export interface CallClockOptions {
  readonly limits: GatewayLimits;
  /** How long the contract gives the call; undefined when it does not say. */
  readonly deadlineMs: number | undefined;
  /** How long the caller gives it, as it came. */
  readonly timeout: string | undefined;
  /** The call took too long: what, for people. May come again, when even the failure does not get away. */
  readonly onTimeout: (what: string) => void;
}

/** The time of one call: what is left of it, when it is over, and the waits in between. */
export class CallClock {
  readonly #options: CallClockOptions;
  readonly #startedAtMs = performance.now();
  readonly #totalMs: number;
  readonly #idle: NodeJS.Timeout;
  #total: NodeJS.Timeout;
  #wait: NodeJS.Timeout | undefined;

  constructor(options: CallClockOptions) {
    this.#options = options;
    const { limits, deadlineMs, onTimeout } = options;
    const { idleCallMs, maxCallMs, deadlineGraceMs } = limits;
    this.#totalMs = deadlineMs === undefined ? maxCallMs : Math.min(maxCallMs, deadlineMs + deadlineGraceMs);
    this.#idle = setTimeout(() => onTimeout(`no byte of it moved for ${idleCallMs} ms`), idleCallMs);
    this.#total = setTimeout(() => onTimeout(`it was not over after ${this.#totalMs} ms`), this.#totalMs);
  }

  /** A byte of the call moved. */
  moved(): void {
    this.#idle.refresh();
  }

  /** How long somebody still waits for the call: by what its caller said, and the contract. */
  leftMs(): number {
    const { timeout, deadlineMs } = this.#options;
    const asked = timeout === undefined ? undefined : parseTimeout(timeout);
    const givenMs = Math.min(asked ?? this.#totalMs, deadlineMs ?? this.#totalMs);
    return givenMs - (performance.now() - this.#startedAtMs);
  }

  /** What a backend is told of the caller's timeout now; `late` when the call did not go there at once. */
  timeout(late: boolean): string | undefined {
    const { timeout } = this.#options;
    if (timeout === undefined) return undefined;
    return late ? lessTimeout(timeout, performance.now() - this.#startedAtMs) : withinTimers(timeout);
  }

  /** Does `then` after so long, unless the clock is stopped before. One wait at a time. */
  wait(ms: number, then: () => void): void {
    clearTimeout(this.#wait);
    this.#wait = setTimeout(then, ms);
  }

  /**
   * Gives the caller a while to read that the call failed, and then ends its stream whatever it does, and if even that
   * cannot be done, its connection.
   */
  cutOff(caller: ServerHttp2Stream): void {
    const { deadlineGraceMs, cutOffMs } = this.#options.limits;
    clearTimeout(this.#total);
    this.#total = setTimeout(() => {
      const { session } = caller;
      caller.close(constants.NGHTTP2_CANCEL);
      caller.destroy();
      this.#total = setTimeout(() => session?.destroy(), cutOffMs);
    }, deadlineGraceMs);
  }

  /** The call has its answer: it is not to be begun again. */
  settle(): void {
    clearTimeout(this.#wait);
  }

  /** The call is gone. */
  stop(): void {
    clearTimeout(this.#wait);
    clearTimeout(this.#idle);
    clearTimeout(this.#total);
  }
}
