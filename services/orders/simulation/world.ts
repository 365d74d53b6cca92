import { meshFailure, RpcError } from "#mesh/contract/errors.ts";
import { type Fate, fates } from "./fates.ts";

/** Something that must never be was seen. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Where the simulated clock begins, in epoch milliseconds. */
const START_MS = 1_800_000_000_000;

/** More happenings than any schedule has that comes to an end. */
const MAX_HAPPENINGS = 100_000;

/** A process that can die, stand still, and start again. What it waits for dies with it. */
export interface Party {
  readonly name: string;
  /** Rises with every start. */
  life: number;
  up: boolean;
  /** Until when it stands still. */
  pausedUntilMs: number;
}

export function newParty(name: string): Party {
  return { name, life: 1, up: true, pausedUntilMs: 0 };
}

/** Something that is going to happen, unless it is called off. */
export interface Happening {
  readonly atMs: number;
  off: boolean;
  readonly run: () => void;
}

/** One message to somebody, and its answer. */
export interface Ask {
  readonly from: Party;
  readonly to: Party;
  readonly what: string;
  /** The same at length, for the trace. */
  readonly detail?: () => string;
  /** After so long without an answer the asker gives up. What was asked may still come to be. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Whether the message can arrive more than once: a statement to a database cannot. */
  readonly once?: boolean;
}

/**
 * A world of its own: its clock, and everything that is going to happen in it, one after the other. It runs the real
 * asynchronous code, whose every wait ends by something that happens here, so that a run depends on its schedule alone.
 */
export class World {
  nowMs = START_MS;
  /** How many messages were sent so far. */
  messages = 0;
  /** What happened, in words, where somebody wants to read it. */
  readonly trace: string[] | undefined;
  /** Whether somebody changed something since the last look. */
  changed = false;
  /** When the last fault was, or the last thing that somebody did. */
  troubledMs = START_MS;
  /** What must never be and was seen where nobody listens. */
  #violation: Error | undefined;
  /** Run before a message is sent. */
  onMessage: (count: number) => void = () => {};
  #queue: Happening[] = [];
  #happened = 0;
  #faults: ReadonlyMap<number, Fate>;
  #dice: number;

  constructor(options: {
    readonly faults: ReadonlyMap<number, Fate>;
    readonly dice: number;
    readonly traced: boolean;
  }) {
    this.#faults = options.faults;
    this.#dice = options.dice;
    this.trace = options.traced ? [] : undefined;
  }

  now(): Date {
    return new Date(this.nowMs);
  }

  /** At least 0, less than 1; the same in every run of a schedule. A linear congruential generator. */
  random(): number {
    this.#dice = (Math.imul(this.#dice, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#dice / 2 ** 32;
  }

  note(text: () => string): void {
    this.trace?.push(`${String(this.nowMs - START_MS).padStart(9)} ms  ${text()}`);
  }

  /** Has something happen later; when it belongs to a party, only if that is still alive then, and awake. */
  later(delayMs: number, run: () => void, owner?: Party): Happening {
    const life = owner?.life;
    const happening: Happening = {
      atMs: this.nowMs + delayMs,
      off: false,
      run: () => {
        if (owner === undefined) return run();
        if (!owner.up || owner.life !== life) return;
        if (owner.pausedUntilMs > this.nowMs) this.later(owner.pausedUntilMs - this.nowMs, run, owner);
        else run();
      },
    };
    this.#insert(happening);
    return happening;
  }

  /** Sends a message, as the schedule has it: prompt or late, never or twice, with an answer or without. */
  ask<T>(ask: Ask, effect: () => T | Promise<T>): Promise<T> {
    this.messages += 1;
    const number = this.messages;
    this.onMessage(number);
    const fate = this.#faults.get(number) ?? "prompt";
    const { deliveriesMs, answerMs } = fates[fate];
    const { from, to, what } = ask;
    if (fate !== "prompt") this.troubledMs = Math.max(this.troubledMs, this.nowMs + Math.max(0, ...deliveriesMs));
    this.note(
      () => `#${number} ${from.name} → ${to.name}: ${ask.detail?.() ?? what}${fate === "prompt" ? "" : ` (${fate})`}`,
    );
    return new Promise<T>((resolve, reject) => {
      const { settle, settled } = this.#settlement(ask, reject);
      const answer = (delayMs: number, act: () => void): Happening => this.later(delayMs, () => settle(act), from);
      const [first, ...copies] = deliveriesMs;
      if (first === undefined) answer(1, () => reject(broken(what)));
      else {
        this.later(first, () => {
          if (!to.up) return void answer(1, () => reject(broken(what)));
          const replied = (act: () => void): void => {
            if (answerMs === "lost") answer(1, () => reject(broken(what)));
            else if (answerMs !== "never" && !settled()) answer(answerMs, act);
          };
          this.#deliver({ ask, number, copy: false }, effect, {
            done: (value) => replied(() => resolve(value)),
            failed: (error) => replied(() => reject(error)),
          });
        });
      }
      if (ask.once === true) return;
      for (const delayMs of copies) {
        this.later(delayMs, () => {
          if (to.up) this.#deliver({ ask, number, copy: true }, effect, { done: () => {}, failed: () => {} });
        });
      }
    });
  }

  /** Runs everything that is going to happen until `until` says enough, or nothing is left. */
  async run(until: () => boolean, afterEach: () => void): Promise<void> {
    await turn();
    afterEach();
    while (!until()) {
      const next = this.#queue.pop();
      if (next === undefined) return;
      if (next.off) continue;
      this.#happened += 1;
      if (this.#happened > MAX_HAPPENINGS) throw new Violation(`more than ${MAX_HAPPENINGS} things happened`);
      // After a jump of the clock what was to happen before happens late, in its order.
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
      await turn();
      if (this.#violation !== undefined) throw this.#violation;
      afterEach();
    }
  }

  /** Has the run end with what must never be. */
  violate(violation: Error): void {
    this.#violation ??= violation;
  }

  /** Takes in a failure of something that nobody waits for: one that this world made is none of anybody's doing. */
  readonly expectFailure = (error: unknown): void => {
    if (error instanceof RpcError) return;
    this.violate(error instanceof Error ? error : new Violation(String(error)));
  };

  /** Whether nothing happens within a tenth of a second, in which every prompt answer would have come. */
  isIdle(): boolean {
    while (this.#queue.at(-1)?.off === true) this.#queue.pop();
    const next = this.#queue.at(-1);
    return next === undefined || next.atMs > this.nowMs + 100;
  }

  noMoreFaults(): void {
    this.#faults = new Map();
  }

  /** The clock jumps; what was to happen until then happens after it. */
  jump(byMs: number): void {
    this.nowMs += byMs;
  }

  #deliver<T>(
    { ask, number, copy }: { readonly ask: Ask; readonly number: number; readonly copy: boolean },
    effect: () => T | Promise<T>,
    then: { readonly done: (value: T) => void; readonly failed: (error: unknown) => void },
  ): void {
    const { to, what } = ask;
    if (to.pausedUntilMs > this.nowMs) {
      const { life } = to;
      this.later(to.pausedUntilMs - this.nowMs, () => {
        if (to.up && to.life === life) this.#deliver({ ask, number, copy }, effect, then);
        else then.failed(broken(what));
      });
      return;
    }
    const late = copy || fates[this.#faults.get(number) ?? "prompt"].deliveriesMs[0] !== 1;
    if (late) this.note(() => `#${number} arrives at ${to.name}: ${what}${copy ? " (again)" : ""}`);
    this.changed = true;
    try {
      const result = effect();
      if (result instanceof Promise) result.then(then.done, then.failed);
      else then.done(result);
    } catch (error) {
      if (error instanceof Violation) throw error;
      then.failed(error);
    }
  }

  /** Ends a wait once: by the answer, at its time limit, or when the asker gives it up. */
  #settlement({ from, what, timeoutMs, signal }: Ask, reject: (error: unknown) => void) {
    let over = false;
    const settle = (act: () => void): void => {
      if (over) return;
      over = true;
      timeout.off = true;
      signal?.removeEventListener("abort", abort);
      act();
    };
    const timeout = this.later(
      timeoutMs,
      () => settle(() => reject(meshFailure("DEADLINE_EXCEEDED", `no answer to ${what}`, { remote: true }))),
      from,
    );
    const abort = (): void => settle(() => reject(meshFailure("CANCELLED", what)));
    signal?.addEventListener("abort", abort);
    return { settle, settled: () => over };
  }

  /** The queue is sorted from the last to the first; of two at one time the older one is first. */
  #insert(happening: Happening): void {
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#queue[middle]?.atMs ?? 0) > happening.atMs) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, happening);
  }
}

function broken(what: string): Error {
  return meshFailure("SERVICE_UNAVAILABLE", `the connection broke: ${what}`, { remote: true });
}

/** Lets everything that can go on go on: no time passes, and only what happened in this world is waited for. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
