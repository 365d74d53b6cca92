import { errors, type JWTPayload, jwtVerify } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "#mesh/clock.ts";
import { meshFailure, type RpcError } from "#mesh/contract/errors.ts";
import { type KeyRing, TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import type { User } from "#mesh/rpc/call.ts";

/** Who issues end users' tokens, and for whom: the same for the whole shop. */
export const TOKEN_ISSUER = "shopmesh";
export const TOKEN_AUDIENCE = "shopmesh";

/** Ours have about 400 characters. */
const MAX_TOKEN_CHARS = 4_096;
/** Checking a signature takes about 0.3 ms, so the tokens now in use are remembered until they expire. */
const MAX_REMEMBERED_TOKENS = 5_000;

/** Tells whose token it is. */
export interface UserTokens {
  /**
   * The user of a token: at once when it was verified before, else as a promise. Throws or rejects with an `RpcError`:
   * TOKEN_INVALID, TOKEN_EXPIRED, or SERVICE_UNAVAILABLE when the keys cannot be had.
   */
  verify(token: string): User | Promise<User>;
}

interface Verified {
  readonly user: User;
  readonly expiresAtMs: number;
}

/** A token by the end of its signature, which no other has: hashing all of it would take longer than the rest. */
interface Remembered extends Verified {
  readonly token: string;
}

const KEY_CHARS = 43;

/** Verifies end users' tokens with the keys of `keyRing`. */
export function createUserTokens(keyRing: KeyRing, clock: Clock): UserTokens {
  const remembered = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED_TOKENS });

  const verifyNew = async (token: string): Promise<User> => {
    if (token.length > MAX_TOKEN_CHARS) throw tokenInvalid();
    const verified = readClaims(await verifySignature(token, keyRing, clock));
    remembered.set(token.slice(-KEY_CHARS), { token, ...verified });
    return verified.user;
  };
  return {
    verify(token) {
      const known = remembered.get(token.slice(-KEY_CHARS));
      if (known?.token !== token) return verifyNew(token);
      if (known.expiresAtMs <= clock.now().getTime()) throw tokenExpired();
      return known.user;
    },
  };
}

async function verifySignature(token: string, keyRing: KeyRing, clock: Clock): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(
      token,
      async ({ kid }) => {
        const key = kid === undefined ? undefined : await keyRing.find(kid);
        if (key === undefined) throw new errors.JWKSNoMatchingKey();
        return key;
      },
      {
        issuer: TOKEN_ISSUER,
        audience: TOKEN_AUDIENCE,
        algorithms: [TOKEN_ALGORITHM],
        requiredClaims: ["exp", "sub"],
        currentDate: clock.now(),
      },
    );
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw tokenExpired(error);
    if (error instanceof errors.JOSEError) throw tokenInvalid(error);
    throw error; // the keys could not be had: says nothing about the token
  }
}

function readClaims({ sub, exp, kind, roles, sid }: JWTPayload): Verified {
  if (sub === undefined || exp === undefined || typeof sid !== "string") throw tokenInvalid();
  if (kind !== "guest" && kind !== "customer") throw tokenInvalid();
  if (!isStrings(roles)) throw tokenInvalid();
  return { user: { id: sub, kind, roles, sessionId: sid }, expiresAtMs: exp * 1_000 };
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** The failure of a call whose token is not one of ours. */
export function tokenInvalid(cause?: unknown): RpcError<"TOKEN_INVALID"> {
  return meshFailure("TOKEN_INVALID", "the token is not valid; sign in again", { cause });
}

function tokenExpired(cause?: unknown): RpcError<"TOKEN_EXPIRED"> {
  return meshFailure("TOKEN_EXPIRED", "the token has expired; refresh the session", { cause });
}
