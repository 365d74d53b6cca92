/** Where an erasure stands; see the contract. */
export type ErasureState = "RUNNING" | "VERIFYING" | "DONE";

/** How far a service is with an erasure. */
export interface ServiceProgress {
  readonly service: string;
  /** How many rounds it has ended with nothing left. */
  readonly rounds: number;
  /** Before when it is not asked again. */
  readonly nextAttemptTime: Date;
  /** When it last answered. */
  readonly answerTime: Date | undefined;
}

export interface ErasureProgress {
  readonly state: ErasureState;
  /** When the last access tokens have expired; undefined while RUNNING. */
  readonly verifyTime: Date | undefined;
  readonly services: readonly ServiceProgress[];
}

/** What is to be done about an erasure now. */
export type ErasurePlan =
  | { readonly kind: "ask"; readonly services: readonly string[]; readonly round: number }
  | { readonly kind: "wait"; readonly until: Date }
  /** The first round is over: the second begins at `from`. */
  | { readonly kind: "verify"; readonly from: Date }
  | { readonly kind: "finish" };

/**
 * How long after a person's sessions ended nothing new of them can come: access tokens live 15 minutes and cannot be
 * called back, and a minute is for what was begun with one, and for clocks that differ.
 */
export const TOKENS_EXPIRE_AFTER_MS = 16 * 60 * 1_000;

/** The service that ends sessions, so that nobody comes in as the person any more. */
const DOOR = "identity";

// Who is asked before whom. In the first round all erase what they can, once the door is shut. In the second nothing new
// comes in, and those that orders tell of what happens are asked when orders have nothing left to tell.
const STAGES: readonly [readonly string[], readonly string[]] = [[DOOR], [DOOR, "orders"]];

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 10 * 60 * 1_000;

/** What to do next. There are two rounds, each of which every service ends with nothing left. */
export function planErasure(progress: ErasureProgress, now: Date): ErasurePlan {
  const { state, services, verifyTime } = progress;
  if (state === "DONE") return { kind: "finish" };
  if (verifyTime !== undefined && now < verifyTime) return { kind: "wait", until: verifyTime };
  const round = verifyTime === undefined ? 1 : 2;
  const open = services.filter(({ rounds }) => rounds < round);
  if (open.length === 0)
    return round === 1 ? { kind: "verify", from: tokensExpireTime(services, now) } : { kind: "finish" };
  const first = STAGES[round === 1 ? 0 : 1].find((name) => open.some(({ service }) => service === name));
  const turn = first === undefined ? open : open.filter(({ service }) => service === first);
  const due = turn.filter(({ nextAttemptTime }) => nextAttemptTime <= now);
  if (due.length > 0) return { kind: "ask", services: due.map(({ service }) => service), round };
  const times = turn.map(({ nextAttemptTime }) => nextAttemptTime.getTime());
  return { kind: "wait", until: new Date(Math.min(...times)) };
}

function tokensExpireTime(services: readonly ServiceProgress[], now: Date): Date {
  const ended = services.find(({ service }) => service === DOOR)?.answerTime ?? now;
  return new Date(ended.getTime() + TOKENS_EXPIRE_AFTER_MS);
}

/** How long until a service is asked again that was asked `tries` times in this round; `random` is from 0 to 1. */
export function waitMs(tries: number, random: number): number {
  const whole = Math.min(FIRST_WAIT_MS * 2 ** (tries - 1), LONGEST_WAIT_MS);
  return Math.round(whole * (0.5 + random / 2));
}
