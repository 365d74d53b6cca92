import { createHash, randomBytes } from "node:crypto";
import type { Session, Tokens } from "#gen/shop/identity/v1/session.ts";
import { meshFailure } from "#mesh/contract/errors.ts";
import type { Database, Queryable } from "#mesh/postgres/index.ts";
import { REFRESH_TOKEN_MS } from "./domain.ts";
import type { Signer } from "./signing-keys.ts";
import * as store from "./store.ts";

/** A user has at most so many open sessions; opening one more ends the oldest. */
const MAX_SESSIONS = 50;

const REFRESH_TOKEN_BYTES = 32;

/** Opens a session for a user. Its tokens are made by `issueFirstTokens`, once this is committed. */
export async function openSession(
  tx: Queryable,
  { id, userId, now }: { readonly id: string; readonly userId: string; readonly now: Date },
): Promise<store.SessionRow> {
  const expireTime = new Date(now.getTime() + REFRESH_TOKEN_MS);
  const session = { id, userId, createTime: now, refreshTime: now, expireTime };
  await store.revokeOldestSessions(tx, { userId, keep: MAX_SESSIONS - 1, now });
  await store.insertSession(tx, session);
  return session;
}

/** A new refresh token and the digest under which it is remembered. */
function newRefreshToken(): { readonly token: string; readonly sha256: Buffer } {
  const token = randomBytes(REFRESH_TOKEN_BYTES).toString("base64url");
  return { token, sha256: digest(token) };
}

/** The digest of a refresh token. The token is random and long, so a fast digest is as good as a slow one. */
export function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/**
 * Makes the first tokens of a session: when it was just opened, and again when the answer with them was lost, which
 * makes the lost ones worthless. Once they were used it is too late for that, and whoever repeats the request is told
 * so: they may not be who made it.
 */
export async function issueFirstTokens(
  { db, signer }: { readonly db: Database; readonly signer: Signer },
  sessionId: string,
  now: Date,
): Promise<{ readonly session: Session; readonly tokens: Tokens }> {
  const { token, sha256 } = newRefreshToken();
  const session = await db.transaction(async (tx) => {
    const row = await store.lockSession(tx, sessionId);
    if (row === undefined || row.revoked || row.expireTime <= now || row.generation !== 0) {
      throw meshFailure("REQUEST_ID_REUSED", "This request_id opened a session that has moved on since; use another.");
    }
    await store.insertToken(tx, { sha256, sessionId, generation: 0 });
    return row;
  });
  return { session: sessionMessage(session, sessionId), tokens: await tokensOf({ db, signer }, session, token, now) };
}

/** The tokens of a session as the contract shows them, with a new access token. */
export async function tokensOf(
  { db, signer }: { readonly db: Queryable; readonly signer: Signer },
  session: store.LockedSession,
  refreshToken: string,
  now: Date,
): Promise<Tokens> {
  const { userId, userKind, id } = session;
  const roles = userKind === "customer" ? await store.listRoles(db, userId) : [];
  const access = await signer.sign({ userId, kind: userKind, roles, sessionId: id }, now);
  return {
    accessToken: access.token,
    accessTokenExpireTime: access.expireTime,
    refreshToken,
    refreshTokenExpireTime: session.expireTime,
  };
}

/** A session as the contract shows it to the holder of session `currentId`. */
export function sessionMessage(row: store.SessionRow, currentId: string): Session {
  return {
    id: row.id,
    createTime: row.createTime,
    refreshTime: row.refreshTime,
    expireTime: row.expireTime,
    current: row.id === currentId,
  };
}
