import type { JWK } from "jose";

/** Where the public keys come from that verify end users' tokens. */
export interface SigningKeySource {
  /** The keys now in use, each with its `kid`. Rejects when they cannot be had in time. */
  keys(signal: AbortSignal): Promise<readonly JWK[]>;
}
