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
/** An unknown key id asks the source again at most this often, or forged tokens would become a load on identity. */
const MIN_FETCH_INTERVAL_MS = 5_000;
/** A key that was withdrawn is trusted no longer than this, as long as the source can be asked. */
const MAX_AGE_MS = 600_000;

/** Remembers the keys of `source`; `nowMs` is any clock that runs on evenly. */
export function createKeyRing(source: SigningKeySource, log: Logger, nowMs: () => number): KeyRing {
  let keys: ReadonlyMap<string, CryptoKey> = new Map();
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;

  const fetchKeys = async (): Promise<void> => {
    keys = await importKeys(await source.keys(AbortSignal.timeout(KEY_FETCH_TIMEOUT_MS)));
    fetchedAt = nowMs();
    log.debug({ kids: [...keys.keys()] }, "signing keys fetched");
  };
  /** However many wait, one request is under way. */
  const refresh = (): Promise<void> => {
    running ??= fetchKeys().finally(() => {
      running = undefined;
    });
    return running;
  };

  return {
    async find(kid) {
      const known = keys.get(kid);
      const ageMs = nowMs() - fetchedAt;
      if (known !== undefined && ageMs < MAX_AGE_MS) return known;
      if (known === undefined && ageMs < MIN_FETCH_INTERVAL_MS) return undefined;
      if (known === undefined) {
        await refresh();
      } else {
        // An old key is better than none: while identity is away, sessions go on.
        await refresh().catch((error: unknown) => log.warn({ err: error }, "signing keys could not be refreshed"));
      }
      return keys.get(kid);
    },
  };
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
