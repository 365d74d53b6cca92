import { type CryptoKey, importJWK, type JWK } from "jose";
import type { Logger } from "pino";

/** Where the public keys come from that verify end users' tokens. */
export interface SigningKeySource {
  /** The keys now in use, each with its `kid`. Rejects when they cannot be had before the signal aborts. */
  keys(signal: AbortSignal): Promise<readonly JWK[]>;
}

/** The keys of a source, remembered. */
export interface KeyRing {
  /** The key of this id; undefined when the source has none. Rejects as the source does. */
  find(kid: string): Promise<CryptoKey | undefined>;
}

/** How tokens are signed: Ed25519 (RFC 8037). */
export const TOKEN_ALGORITHM = "EdDSA";

export const KEY_FETCH_TIMEOUT_MS = 2_000;
/** Once there are keys, the source is asked at most this often: because of forged tokens, too, and while it is away. */
const MIN_FETCH_INTERVAL_MS = 5_000;
/** From this age on, keys are fetched anew when they are used, and nobody waits for that. */
const REFRESH_AGE_MS = 300_000;
/**
 * A key that was withdrawn is trusted no longer than this, as long as the source can be asked; and a key that was
 * published this long ago is known to everybody who verifies.
 */
export const KEYS_MAX_AGE_MS = 600_000;
/** How long, and of how many, it is remembered that the source has no such key; the oldest give way. */
const UNKNOWN_KEY_MS = 60_000;
const MAX_UNKNOWN_KEYS = 100;

/** Remembers the keys of `source`; `nowMs` is any clock that runs on evenly. */
export function createKeyRing(source: SigningKeySource, log: Logger, nowMs: () => number): KeyRing {
  const fetched = new FetchedKeys(source, log, nowMs);
  const unknown = new UnknownKeys(nowMs);

  const findUnknown = async (kid: string): Promise<CryptoKey | undefined> => {
    if (unknown.has(kid)) return undefined;
    const joins = fetched.isRunning();
    if (!joins && fetched.areThere() && fetched.wereAskedForLately()) {
      if (fetched.failure !== undefined) throw fetched.failure.error;
      return undefined;
    }
    await fetched.refresh();
    const found = fetched.keys.get(kid);
    // An answer that was on its way when somebody came with the key may be older than the key.
    if (found === undefined && !joins) unknown.add(kid);
    return found;
  };

  return {
    async find(kid) {
      const known = fetched.keys.get(kid);
      if (known === undefined) return findUnknown(kid);
      const ageMs = fetched.ageMs();
      if (ageMs < REFRESH_AGE_MS) return known;
      // An old key is better than none: while identity is away, sessions go on.
      if (fetched.failure !== undefined && fetched.wereAskedForLately()) return known;
      const refreshed = fetched.refresh().catch(() => undefined);
      if (ageMs < KEYS_MAX_AGE_MS) return known;
      await refreshed;
      return fetched.keys.get(kid);
    },
  };
}

/** The keys as the source last told them, and how it is with asking it. */
class FetchedKeys {
  keys: ReadonlyMap<string, CryptoKey> = new Map();
  /** Why the last try failed, when it did. */
  failure: { readonly error: unknown } | undefined;
  readonly #source: SigningKeySource;
  readonly #log: Logger;
  readonly #nowMs: () => number;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor(source: SigningKeySource, log: Logger, nowMs: () => number) {
    this.#source = source;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  ageMs(): number {
    return this.#nowMs() - this.#fetchedAt;
  }

  areThere(): boolean {
    return this.#fetchedAt !== Number.NEGATIVE_INFINITY;
  }

  isRunning(): boolean {
    return this.#running !== undefined;
  }

  wereAskedForLately(): boolean {
    return this.#nowMs() - this.#askedAt < MIN_FETCH_INTERVAL_MS;
  }

  /** Asks the source. However many wait, one request is under way. */
  refresh(): Promise<void> {
    this.#running ??= this.#fetch().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #fetch(): Promise<void> {
    this.#askedAt = this.#nowMs();
    this.failure = undefined;
    try {
      this.keys = await importKeys(await this.#source.keys(AbortSignal.timeout(KEY_FETCH_TIMEOUT_MS)));
    } catch (error) {
      this.#log.warn({ err: error }, "signing keys could not be fetched");
      this.failure = { error };
      throw error;
    }
    this.#fetchedAt = this.#nowMs();
    this.#log.debug({ kids: [...this.keys.keys()] }, "signing keys fetched");
  }
}

/** Ids of which the source had no key, for a while. */
class UnknownKeys {
  /** When each became known as unknown; the oldest first. */
  readonly #since = new Map<string, number>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  has(kid: string): boolean {
    const since = this.#since.get(kid);
    return since !== undefined && this.#nowMs() - since < UNKNOWN_KEY_MS;
  }

  add(kid: string): void {
    this.#since.delete(kid);
    const [oldest] = this.#since.keys();
    if (oldest !== undefined && this.#since.size >= MAX_UNKNOWN_KEYS) this.#since.delete(oldest);
    this.#since.set(kid, this.#nowMs());
  }
}

async function importKeys(jwks: readonly JWK[]): Promise<ReadonlyMap<string, CryptoKey>> {
  const keys = new Map<string, CryptoKey>();
  for (const jwk of jwks) {
    const key = await importJWK(jwk, TOKEN_ALGORITHM);
    // importJWK gives raw bytes for symmetric keys alone; such a key has no place here.
    if (jwk.kid === undefined || key instanceof Uint8Array)
      throw new TypeError("a signing key without id, or not public");
    keys.set(jwk.kid, key);
  }
  return keys;
}
