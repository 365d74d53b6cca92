import { hash, verify } from "@node-rs/argon2";

/** Hashes and checks passwords with argon2id, a few at a time. Calls end early when `signal` aborts while they wait. */
export interface Passwords {
  /** The hash to store, with its salt and parameters in it. */
  hash(password: string, signal: AbortSignal): Promise<string>;
  /**
   * Whether the password is that of the hash. Without a hash (nobody of that name) it takes the same time and is false,
   * so that the time does not tell who is known.
   */
  verify(passwordHash: string | undefined, password: string, signal: AbortSignal): Promise<boolean>;
}

// OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane; about 15 ms.
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;
/** Each takes 19 MiB and a core, so a burst of sign-ins must not take all of either. */
const MAX_RUNNING = 2;
/** At about 15 ms each the last of them waits for a second; more are turned away. */
const MAX_WAITING = 128;

/** `overloaded` makes the error for a call that would wait too long. */
export async function createPasswords(overloaded: () => Error): Promise<Passwords> {
  const inTurn = turns(overloaded);
  // The hash of a password that nobody has.
  const nobody = await hash(crypto.randomUUID(), PARAMETERS);
  return {
    hash: (password, signal) => inTurn(signal, () => hash(password, PARAMETERS)),
    verify: async (passwordHash, password, signal) => {
      const matches = await inTurn(signal, () => verify(passwordHash ?? nobody, password));
      return matches && passwordHash !== undefined;
    },
  };
}

/** Lets at most `MAX_RUNNING` work at once and `MAX_WAITING` wait, first come first served; who gives up leaves. */
function turns(overloaded: () => Error): <T>(signal: AbortSignal, work: () => Promise<T>) => Promise<T> {
  let running = 0;
  // In the order they came. A place is handed on by whoever ends, so `running` stays as it is.
  const waiting = new Set<() => void>();

  const wait = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      waiting.add(enter);
      signal.addEventListener("abort", leave, { once: true });
    });

  return async (signal, work) => {
    signal.throwIfAborted();
    if (running < MAX_RUNNING) running += 1;
    else if (waiting.size >= MAX_WAITING) throw overloaded();
    else await wait(signal);
    try {
      return await work();
    } finally {
      const [next] = waiting;
      if (next === undefined) running -= 1;
      else {
        waiting.delete(next);
        next();
      }
    }
  };
}
