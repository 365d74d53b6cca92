import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import type { Clock } from "#mesh/clock.ts";
import { TOKEN_ALGORITHM } from "#mesh/identity/key-ring.ts";
import { TOKEN_AUDIENCE, TOKEN_ISSUER } from "#mesh/identity/user-tokens.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { ACCESS_TOKEN_MS, type UserKind } from "./domain.ts";
import * as store from "./key-store.ts";

/** Whom an access token speaks for. */
export interface Subject {
  readonly userId: string;
  readonly kind: UserKind;
  readonly roles: readonly string[];
  readonly sessionId: string;
}

/** Signs access tokens, and tells the keys to verify them with. */
export interface Signer {
  /** A new access token and when it expires. */
  sign(subject: Subject, now: Date): Promise<{ readonly token: string; readonly expireTime: Date }>;
}

/** Signs with the active key of the database; makes one when there is none. */
export async function openSigner(db: Database, clock: Clock, newId: (prefix: string) => string): Promise<Signer> {
  const active = (await store.getActiveKey(db)) ?? (await createKey(db, clock, newId));
  const key = await importKey(active);
  return {
    sign: async ({ userId, kind, roles, sessionId }, now) => {
      // A token counts in whole seconds; what is told to the client is what stands in it.
      const issuedAt = Math.floor(now.getTime() / 1_000);
      const expiresAt = issuedAt + ACCESS_TOKEN_MS / 1_000;
      const token = await new SignJWT({ kind, roles: [...roles], sid: sessionId })
        .setProtectedHeader({ alg: TOKEN_ALGORITHM, kid: active.id, typ: "at+jwt" })
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

async function createKey(db: Database, clock: Clock, newId: (prefix: string) => string): Promise<store.KeyRow> {
  const { privateKey } = await generateKeyPair(TOKEN_ALGORITHM, { extractable: true });
  const { x, d } = await exportJWK(privateKey);
  if (x === undefined || d === undefined) throw new TypeError("an Ed25519 key without its halves");
  await store.insertActiveKey(db, { id: newId("key"), x, d, createTime: clock.now() });
  // Another instance may have been faster; then its key is the active one.
  const active = await store.getActiveKey(db);
  if (active === undefined) throw new Error("there is no signing key though one was just made");
  return active;
}

async function importKey({ x, d }: store.KeyRow): Promise<CryptoKey> {
  const key = await importJWK({ kty: "OKP", crv: "Ed25519", x, d }, TOKEN_ALGORITHM);
  if (key instanceof Uint8Array) throw new TypeError("a signing key that is not asymmetric");
  return key;
}

/** The public keys as JSON Web Keys, the newest first. */
export async function publicKeys(db: Database, clock: Clock): Promise<readonly JWK[]> {
  const rows = await currentKeys(db, clock);
  return rows.map(({ id, x }) => ({ kty: "OKP", crv: "Ed25519", alg: TOKEN_ALGORITHM, kid: id, x }));
}

/** The keys whose tokens may still be good: one that is retired counts for as long as a token lasts. */
export async function currentKeys(db: Database, clock: Clock): Promise<readonly store.PublicKeyRow[]> {
  return store.listPublicKeys(db, new Date(clock.now().getTime() - ACCESS_TOKEN_MS));
}
