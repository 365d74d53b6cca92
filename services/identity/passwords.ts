import { hash, verify } from "@node-rs/argon2";

/** Hashes and checks passwords with argon2id, a few at a time. */
export interface Passwords {
  /** The hash to store, with its salt and parameters in it. */
  hash(password: string): Promise<string>;
  /**
   * Whether the password is that of the hash. Without a hash (nobody of that name) it takes the same time and is false,
   * so that the time does not tell who is known.
   */
  verify(passwordHash: string | undefined, password: string): Promise<boolean>;
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
    hash: (password) => inTurn(() => hash(password, PARAMETERS)),
    verify: async (passwordHash, password) => {
      const matches = await inTurn(() => verify(passwordHash ?? nobody, password));
      return matches && passwordHash !== undefined;
    },
  };
}

/** Lets at most `MAX_RUNNING` work at once and `MAX_WAITING` wait, first come first served. */
function turns(overloaded: () => Error): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= MAX_RUNNING) {
      if (waiting.length >= MAX_WAITING) throw overloaded();
      // Whoever ends hands the place on, so `running` stays as it is.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running += 1;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
