import type { Queryable } from "#mesh/postgres/index.ts";
import type { SessionState, TokenState, UserKind } from "./domain.ts";

export interface UserRow {
  readonly id: string;
  readonly kind: UserKind;
  readonly passwordHash: string | undefined;
}

export interface SessionRow {
  readonly id: string;
  readonly userId: string;
  readonly createTime: Date;
  readonly refreshTime: Date;
  readonly expireTime: Date;
}

interface StoredUser {
  readonly id: string;
  readonly kind: UserKind;
  readonly passwordHash: string | null;
}

const SESSION = `id, user_id as "userId", create_time as "createTime", refresh_time as "refreshTime",
  expire_time as "expireTime"`;

/** Adds a user. Violates `users_email_key` when the address is taken. */
export async function insertUser(
  tx: Queryable,
  user: {
    readonly id: string;
    readonly kind: UserKind;
    readonly email?: string;
    readonly passwordHash?: string;
    readonly now: Date;
  },
): Promise<void> {
  await tx.query(`insert into users (id, kind, email, password_hash, create_time) values ($1, $2, $3, $4, $5)`, [
    user.id,
    user.kind,
    user.email,
    user.passwordHash,
    user.now,
  ]);
}

/** The customer of a normalized e-mail address. */
export async function findUserByEmail(db: Queryable, email: string): Promise<UserRow | undefined> {
  return userOf(
    await db.query<StoredUser>(`select id, kind, password_hash as "passwordHash" from users where email = $1`, [email]),
  );
}

/** The user of an id, unless they were erased, locked until the transaction ends. */
export async function lockUser(tx: Queryable, id: string): Promise<UserRow | undefined> {
  return userOf(
    await tx.query<StoredUser>(
      `select id, kind, password_hash as "passwordHash" from users where id = $1 and erase_time is null for update`,
      [id],
    ),
  );
}

function userOf([row]: readonly StoredUser[]): UserRow | undefined {
  return row === undefined ? undefined : { ...row, passwordHash: row.passwordHash ?? undefined };
}

/** Replaces a customer's password, if it still is the one of `before`. Returns whether it was. */
export async function updatePassword(
  tx: Queryable,
  change: { readonly userId: string; readonly before: string; readonly after: string },
): Promise<boolean> {
  const rows = await tx.query(`update users set password_hash = $3 where id = $1 and password_hash = $2 returning id`, [
    change.userId,
    change.before,
    change.after,
  ]);
  return rows.length > 0;
}

/** Whether a customer's password still is that of `passwordHash`; if so, it stays so until the transaction ends. */
export async function keepPassword(tx: Queryable, userId: string, passwordHash: string): Promise<boolean> {
  const rows = await tx.query(`select id from users where id = $1 and password_hash = $2 for share`, [
    userId,
    passwordHash,
  ]);
  return rows.length > 0;
}

/** Whether a user has this session, open, and this role now; if so, they stay until the transaction ends. */
export async function keepRole(
  tx: Queryable,
  held: { readonly userId: string; readonly sessionId: string; readonly role: string; readonly now: Date },
): Promise<boolean> {
  const rows = await tx.query(
    `select s.id from sessions s join user_roles r on r.user_id = s.user_id
     where s.id = $1 and s.user_id = $2 and s.revoke_time is null and s.expire_time > $4 and r.role = $3
     for share of s, r`,
    [held.sessionId, held.userId, held.role, held.now],
  );
  return rows.length > 0;
}

/** A customer by id. */
export async function getUser(db: Queryable, id: string): Promise<UserRow | undefined> {
  return userOf(
    await db.query<StoredUser>(`select id, kind, password_hash as "passwordHash" from users where id = $1`, [id]),
  );
}

/** Gives a user a role that it may have already. Returns whether it had not. */
export async function insertRole(tx: Queryable, userId: string, role: string): Promise<boolean> {
  const rows = await tx.query(
    `insert into user_roles (user_id, role) values ($1, $2) on conflict do nothing returning role`,
    [userId, role],
  );
  return rows.length > 0;
}

/** Takes a role that a user may not have. Returns whether it had. */
export async function deleteRole(tx: Queryable, userId: string, role: string): Promise<boolean> {
  const rows = await tx.query(`delete from user_roles where user_id = $1 and role = $2 returning role`, [userId, role]);
  return rows.length > 0;
}

/** A user's roles, in the order of the alphabet. */
export async function listRoles(db: Queryable, userId: string): Promise<readonly string[]> {
  const rows = await db.query<{ readonly role: string }>(
    `select role from user_roles where user_id = $1 order by role`,
    [userId],
  );
  return rows.map(({ role }) => role);
}

/** Opens a session. It has no tokens yet. */
export async function insertSession(tx: Queryable, session: SessionRow): Promise<void> {
  await tx.query(
    `insert into sessions (id, user_id, create_time, refresh_time, expire_time) values ($1, $2, $3, $4, $5)`,
    [session.id, session.userId, session.createTime, session.refreshTime, session.expireTime],
  );
}

export interface LockedSession extends SessionRow, SessionState {
  readonly userKind: UserKind;
}

interface StoredSession extends SessionRow {
  readonly userKind: UserKind;
  readonly generation: number;
  readonly refreshRequestId: string | null;
  readonly revokeTime: Date | null;
}

const LOCK_SESSION = `
  select s.id, s.user_id as "userId", s.create_time as "createTime", s.refresh_time as "refreshTime",
    s.expire_time as "expireTime", s.generation, s.refresh_request_id as "refreshRequestId",
    s.revoke_time as "revokeTime", u.kind as "userKind"
  from sessions s join users u on u.id = s.user_id
  where s.id = $1 for update of s`;

/** A session, locked until the transaction ends. */
export async function lockSession(tx: Queryable, id: string): Promise<LockedSession | undefined> {
  const [row] = await tx.query<StoredSession>(LOCK_SESSION, [id]);
  if (row === undefined) return undefined;
  const { refreshRequestId, revokeTime, ...rest } = row;
  return { ...rest, refreshRequestId: refreshRequestId ?? undefined, revoked: revokeTime !== null };
}

export interface TokenRow extends TokenState {
  readonly sessionId: string;
}

/** The refresh token of a digest. */
export async function findToken(db: Queryable, sha256: Buffer): Promise<TokenRow | undefined> {
  const [row] = await db.query<TokenRow>(
    `select session_id as "sessionId", generation from refresh_tokens where sha256 = $1`,
    [sha256],
  );
  return row;
}

/** Makes a refresh token the one of a session's generation; one made for it before, whose answer was lost, is forgotten. */
export async function insertToken(
  tx: Queryable,
  token: { readonly sha256: Buffer; readonly sessionId: string; readonly generation: number },
): Promise<void> {
  await tx.query(
    `with lost as (
       delete from refresh_tokens where session_id = $2 and generation = $3
     )
     insert into refresh_tokens (sha256, session_id, generation) values ($1, $2, $3)`,
    [token.sha256, token.sessionId, token.generation],
  );
}

/** Adds the refresh token of a session's generation. */
export async function addToken(
  tx: Queryable,
  token: { readonly sha256: Buffer; readonly sessionId: string; readonly generation: number },
): Promise<void> {
  await tx.query(
    `insert into refresh_tokens (sha256, session_id, generation) values ($1, $2, $3) on conflict do nothing`,
    [token.sha256, token.sessionId, token.generation],
  );
}

/** Moves a session on to a generation. */
export async function advanceSession(
  tx: Queryable,
  session: {
    readonly id: string;
    readonly generation: number;
    readonly requestId: string;
    readonly now: Date;
    readonly expireTime: Date;
  },
): Promise<void> {
  await tx.query(
    `update sessions set generation = $2, refresh_request_id = $3, refresh_time = $4, expire_time = $5 where id = $1`,
    [session.id, session.generation, session.requestId, session.now, session.expireTime],
  );
}

/** Ends a user's session, if it is theirs and open. Returns whether it was. */
export async function revokeSession(
  tx: Queryable,
  session: { readonly id: string; readonly userId: string; readonly now: Date },
): Promise<boolean> {
  const rows = await tx.query(
    `update sessions set revoke_time = $3
     where id = $1 and user_id = $2 and revoke_time is null and expire_time > $3 returning id`,
    [session.id, session.userId, session.now],
  );
  return rows.length > 0;
}

/** Ends all open sessions of a user but one. Returns how many. */
export async function revokeOtherSessions(
  tx: Queryable,
  session: { readonly keepId: string; readonly userId: string; readonly now: Date },
): Promise<number> {
  const rows = await tx.query(
    `update sessions set revoke_time = $3
     where user_id = $2 and id <> $1 and revoke_time is null and expire_time > $3 returning id`,
    [session.keepId, session.userId, session.now],
  );
  return rows.length;
}

/** Ends the oldest open sessions of a user, so that at most `keep` are left. */
export async function revokeOldestSessions(
  tx: Queryable,
  user: { readonly userId: string; readonly keep: number; readonly now: Date },
): Promise<void> {
  await tx.query(
    `update sessions set revoke_time = $3 where id in (
       select id from sessions where user_id = $1 and revoke_time is null and expire_time > $3
       order by id desc offset $2)`,
    [user.userId, user.keep, user.now],
  );
}

/** A user's open sessions, the newest first, from the one before `beforeId` on. */
export async function listSessions(
  db: Queryable,
  page: { readonly userId: string; readonly beforeId: string | undefined; readonly limit: number; readonly now: Date },
): Promise<readonly SessionRow[]> {
  return db.query<SessionRow>(
    `select ${SESSION} from sessions
     where user_id = $1 and revoke_time is null and expire_time > $4 and ($2::text is null or id < $2)
     order by id desc limit $3`,
    [page.userId, page.beforeId, page.limit, page.now],
  );
}

/** Forgets guests without a session who came before `before`: at most `limit`. Returns how many. */
export async function deleteLapsedGuests(db: Queryable, before: Date, limit: number): Promise<number> {
  const rows = await db.query(
    `delete from users where id in (
       select id from users u
       where kind = 'guest' and create_time < $1 and not exists (select 1 from sessions s where s.user_id = u.id)
       limit $2)
     returning id`,
    [before, limit],
  );
  return rows.length;
}

/** Forgets sessions, with their tokens, that expired before `before`: at most `limit`. Returns how many. */
export async function deleteExpiredSessions(db: Queryable, before: Date, limit: number): Promise<number> {
  const rows = await db.query(
    `delete from sessions where id in (select id from sessions where expire_time < $1 order by expire_time limit $2)
     returning id`,
    [before, limit],
  );
  return rows.length;
}
