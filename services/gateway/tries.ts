import { status } from "@grpc/grpc-js";
import { random } from "#mesh/random.ts";
import { MAX_ATTEMPTS, type RetryBudget, retryDelayMs } from "#mesh/rpc/retry-rules.ts";

/** How an attempt ended that may be followed by another. */
export interface Broken {
  /** Refused before anybody looked at it, as a draining instance does; else lost, or answered UNAVAILABLE. */
  readonly refused: boolean;
  /** What the callee says of trying again, if it says something. */
  readonly pushback: string | undefined;
}

/** The attempts at one call: the rules of mesh/rpc/retry-rules.ts, as they apply to what only passes. */
export class Tries {
  readonly #budget: RetryBudget;
  readonly #repeatable: boolean;
  #refusals = 0;
  made = 0;

  constructor(budget: RetryBudget, repeatable: boolean) {
    this.#budget = budget;
    this.#repeatable = repeatable;
  }

  /**
   * After how long there shall be another attempt; undefined for none. A first refusal costs nothing and no time: nobody
   * did anything. `leftMs` is how long somebody waits for the call.
   */
  next({ refused, pushback }: Broken, leftMs: number): number | undefined {
    if (refused) {
      this.#refusals += 1;
      if (this.#refusals === 1 && this.made < MAX_ATTEMPTS) return 0;
    }
    if (!refused && !this.#repeatable) return undefined;
    const delayMs = retryDelayMs({ code: status.UNAVAILABLE, pushback, attempts: this.made }, random());
    if (delayMs === undefined || delayMs >= leftMs || !this.#budget.take()) return undefined;
    return delayMs;
  }
}
