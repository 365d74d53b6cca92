import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import type { Clock } from "#mesh/clock.ts";
import { KEYS_MAX_AGE_MS, TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "#mesh/identity/user-tokens.ts";
import type { Database, Queryable } from "#mesh/postgres/index.ts";
import { ACCESS_TOKEN_MS, type UserKind } from "./domain.ts";
import * as store from "./key-store.ts";

/** By how much the clocks of processes may differ, and an answer be late. */
const SLACK_MS = 5 * 60 * 1_000;

/** How long a key is published before it signs: longer than anybody may keep an answer in which it is not. */
export const PUBLISH_AHEAD_MS = KEYS_MAX_AGE_MS + SLACK_MS;

/** A key signs for so long, and then another one does. */
export const KEY_LIFE_MS = 90 * 24 * 60 * 60 * 1_000;

/** How old what a process knows of the keys may be when it signs; a new key waits for far longer. */
const SIGNERS_MAX_AGE_MS = 60 * 1_000;

/** Whom an access token speaks for. */
export interface Subject {
  readonly userId: string;
  readonly kind: UserKind;
  readonly roles: readonly string[];
  readonly sessionId: string;
}

/** Signs access tokens. */
export interface Signer {
  /** A new access token and when it expires. */
  sign(subject: Subject, now: Date): Promise<{ readonly token: string; readonly expireTime: Date }>;
}

type NewId = (prefix: string) => string;

/** A key with its private half, ready to sign. */
interface SigningKey {
  readonly row: store.KeyRow;
  readonly key: CryptoKey;
}

/**
 * Signs with the key whose turn it is; makes the first one. Each process goes by the table, and looks into it once a
 * minute at least, so that all change to a new key at the moment that the table names.
 */
export async function openSigner(db: Database, clock: Clock, newId: NewId): Promise<Signer> {
  const first = await makeKey(clock, newId);
  if ((await store.listSigners(db, clock.now())).length === 0) {
    await store.insertFirstKey(db, { ...first, signTime: first.createTime });
  }
  let known: { readonly keys: readonly SigningKey[]; readonly readTime: Date } | undefined;
  const signerAt = async (now: Date): Promise<SigningKey> => {
    if (known === undefined || Math.abs(now.getTime() - known.readTime.getTime()) >= SIGNERS_MAX_AGE_MS) {
      const rows = await store.listSigners(db, now);
      known = { keys: await Promise.all(rows.map(importKey)), readTime: now };
    }
    const turn = known.keys.findLast(({ row }) => row.signTime <= now) ?? known.keys[0];
    if (turn === undefined) throw new Error("there is no signing key, though one is made at the start");
    return turn;
  };
  await signerAt(clock.now());
  return {
    sign: async ({ userId, kind, roles, sessionId }, now) => {
      const { row, key } = await signerAt(now);
      // A token counts in whole seconds; what is told to the client is what stands in it.
      const issuedAt = Math.floor(now.getTime() / 1_000);
      const expiresAt = issuedAt + ACCESS_TOKEN_MS / 1_000;
      const token = await new SignJWT({ kind, roles: [...roles], sid: sessionId })
        .setProtectedHeader({ alg: TOKEN_ALGORITHM, kid: row.id, typ: "at+jwt" })
        .setIssuer(TOKEN_ISSUER)
        .setAudience(TOKEN_AUDIENCE)
        .setSubject(userId)
        .setIssuedAt(issuedAt)
        .setExpirationTime(expiresAt)
        .sign(key);
      return { token, expireTime: new Date(expiresAt * 1_000) };
    },
  };
}

/** A key to publish now. The slow part of a rotation: make it before the transaction. */
export async function nextKey(clock: Clock, newId: NewId): Promise<store.NewKey> {
  const key = await makeKey(clock, newId);
  return { ...key, signTime: new Date(key.createTime.getTime() + PUBLISH_AHEAD_MS) };
}

/** Publishes the key as the one after the last, unless that does not sign yet, or not for `minLifeMs`. Returns whether. */
export async function publishNextKey(db: Queryable, key: store.NewKey, minLifeMs: number): Promise<boolean> {
  return store.insertNextKey(db, key, new Date(key.createTime.getTime() - minLifeMs));
}

async function makeKey(clock: Clock, newId: NewId): Promise<Omit<store.NewKey, "signTime">> {
  const { privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { extractable: true });
  const { x, d } = await exportJWK(privateKey);
  if (x === undefined || d === undefined) throw new TypeError("an Ed25519 key without its halves");
  return { id: newId("key"), x, d, createTime: clock.now() };
}

async function importKey(row: store.KeyRow): Promise<SigningKey> {
  const key = await importJWK({ kty: "OKP", crv: "Ed25519", x: row.x, d: row.d }, TOKEN_ALGORITHM);
  if (key instanceof Uint8Array) throw new TypeError("a signing key that is not asymmetric");
  return { row, key };
}

/** The public keys as JSON Web Keys. */
export async function publicKeys(db: Queryable, clock: Clock): Promise<readonly JWK[]> {
  const rows = await currentKeys(db, clock);
  return rows.map(({ id, x }) => ({ kty: "OKP", crv: "Ed25519", alg: TOKEN_ALGORITHM, kid: id, x }));
}

/** The keys to verify with: those that sign or will, the one in use first, and those whose tokens may still be good. */
export async function currentKeys(db: Queryable, clock: Clock): Promise<readonly store.PublicKeyRow[]> {
  const now = clock.now();
  const rows = await store.listPublicKeys(db, lastTokenTime(now));
  const inUse = rows.findLast(({ signTime }) => signTime <= now);
  return inUse === undefined ? rows : [inUse, ...rows.filter((row) => row !== inUse)];
}

/** Of a key that signed no more at this time, no token is good now. */
export function lastTokenTime(now: Date): Date {
  return new Date(now.getTime() - ACCESS_TOKEN_MS - SLACK_MS);
}
