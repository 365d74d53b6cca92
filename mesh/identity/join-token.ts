import { hkdfSync } from "node:crypto";
import { decodeJwt, errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { fail, ok, type Result } from "#mesh/result.ts";

/** Whom a join token is for: the control plane's join door. */
const AUDIENCE = "shopmesh-join";
const ALGORITHM = "HS256";
const KEY_BYTES = 32;
const SECRET = /^[0-9a-f]{64}$/;
const SERVICE = /^[a-z][a-z0-9-]{0,62}$/;
/** Ours have about 250 characters. */
const MAX_TOKEN_CHARS = 2_000;
/** The longest that a token may be good for, by its own claims. */
export const MAX_JOIN_TOKEN_LIFETIME_MS = 10 * 60_000;
/** How far the clocks of the maker and the reader of a token may be apart. */
const CLOCK_TOLERANCE_SECONDS = 30;

/** What a join token says. */
export interface JoinClaims {
  /** The workload that its bearer may become. */
  readonly service: string;
  /** Names the token: a token is good for one key alone. */
  readonly id: string;
  /** From when on it is refused, so that nobody has to remember it any longer. */
  readonly expireTime: Date;
}

export interface JoinTokenOptions {
  /** The join key of the service, as `deriveJoinKey` makes it. */
  readonly key: string;
  readonly service: string;
  /** Names this token and no other. */
  readonly id: string;
  readonly now: Date;
  /** Ten minutes unless given, and never more. */
  readonly lifetimeMs?: number;
}

/**
 * The join key of one service, 32 bytes in hex, made from the join secret of the mesh (32 bytes in hex) by
 * HKDF-SHA256 (RFC 5869). Whoever holds it can join as that service and as no other, and cannot tell the secret.
 * Throws a TypeError when the secret is malformed.
 */
export function deriveJoinKey(secret: string, service: string): string {
  if (!SECRET.test(secret)) throw new TypeError("a join secret is 32 bytes in hex");
  const key = hkdfSync("sha256", Buffer.from(secret, "hex"), "", `shopmesh join ${service}`, KEY_BYTES);
  return Buffer.from(key).toString("hex");
}

/** A token with which one process can join as `service`. Throws a TypeError when the key is malformed. */
export function makeJoinToken({ key, service, id, now, lifetimeMs }: JoinTokenOptions): Promise<string> {
  const lifetime = Math.min(lifetimeMs ?? MAX_JOIN_TOKEN_LIFETIME_MS, MAX_JOIN_TOKEN_LIFETIME_MS);
  const issuedAt = Math.floor(now.getTime() / 1_000);
  return new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM })
    .setSubject(service)
    .setAudience(AUDIENCE)
    .setJti(id)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + Math.floor(lifetime / 1_000))
    .sign(keyBytes(key));
}

/**
 * What a token says, when it was made with the key of the service that it names; or why it is refused, in words for
 * the log. Whether it was used before is the caller's to know.
 */
export async function verifyJoinToken(secret: string, token: string, now: Date): Promise<Result<JoinClaims, string>> {
  if (token.length > MAX_TOKEN_CHARS) return fail("it is too long");
  try {
    const service: unknown = decodeJwt(token).sub;
    if (typeof service !== "string" || !SERVICE.test(service)) return fail("it names no service");
    const { payload } = await jwtVerify(token, keyBytes(deriveJoinKey(secret, service)), {
      audience: AUDIENCE,
      algorithms: [ALGORITHM],
      requiredClaims: ["sub", "jti", "iat", "exp"],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: now,
    });
    return readClaims(service, payload, now);
  } catch (error) {
    if (error instanceof errors.JOSEError) return fail(error.message);
    throw error;
  }
}

/**
 * Whoever holds a join key writes anything into its tokens. One that was made later than now would have to be
 * remembered for as long as it claims, and times without end could not even be written down.
 */
function readClaims(service: string, { jti: id, iat, exp }: JWTPayload, now: Date): Result<JoinClaims, string> {
  if (typeof id !== "string" || id === "") return fail("it has no name");
  if (!isSecond(iat) || !isSecond(exp) || exp < iat) return fail("its times are none");
  if (iat > now.getTime() / 1_000 + CLOCK_TOLERANCE_SECONDS) return fail("it is not good yet");
  if ((exp - iat) * 1_000 > MAX_JOIN_TOKEN_LIFETIME_MS) return fail("it is good for too long");
  return ok({ service, id, expireTime: new Date((exp + CLOCK_TOLERANCE_SECONDS) * 1_000) });
}

function isSecond(time: unknown): time is number {
  return Number.isSafeInteger(time);
}

function keyBytes(key: string): Uint8Array {
  if (!SECRET.test(key)) throw new TypeError("a join key is 32 bytes in hex");
  return new Uint8Array(Buffer.from(key, "hex"));
}
