import type { Clock } from "#mesh/clock.ts";
import { type Reply, StripeFault } from "./replies.ts";

/** How long a key is remembered. */
const KEY_LIFETIME_MS = 24 * 60 * 60 * 1_000;

interface Kept {
  readonly request: string;
  readonly time: number;
  /** Undefined while the first request under the key is being carried out. */
  reply: Reply | undefined;
}

export interface Replayed extends Reply {
  readonly isReplay: boolean;
}

/**
 * Answers under idempotency keys: the answer of the first request that was begun is kept, whatever it was, and given to
 * all that come with the same key and the same request, for a day. Another request is refused; a copy of one that is
 * being carried out is sent away.
 */
export class KeyedReplies {
  readonly #kept = new Map<string, Kept>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async once(key: string | undefined, request: string, carryOut: () => Promise<Reply>): Promise<Replayed> {
    if (key === undefined) return { ...(await carryOut()), isReplay: false };
    const now = this.#clock.now().getTime();
    const found = this.#kept.get(key);
    const earlier = found !== undefined && now - found.time < KEY_LIFETIME_MS ? found : undefined;
    if (earlier !== undefined && earlier.request !== request) {
      throw new StripeFault(400, "Keys can only be used with the same request.", { type: "idempotency_error" }, true);
    }
    if (earlier !== undefined) return { ...replyOf(earlier), isReplay: true };
    const kept: Kept = { request, time: now, reply: undefined };
    this.#kept.set(key, kept);
    try {
      kept.reply = await carryOut();
    } catch (error) {
      if (!(error instanceof StripeFault)) throw error;
      if (error.atTheDoor) this.#kept.delete(key);
      else kept.reply = error.reply;
      throw error;
    }
    return { ...kept.reply, isReplay: false };
  }
}

function replyOf({ reply }: Kept): Reply {
  if (reply !== undefined) return reply;
  const details = { type: "idempotency_error", code: "idempotency_key_in_use" };
  throw new StripeFault(409, "There is another request in progress under this key.", details, true);
}
