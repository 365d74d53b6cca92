import { IdentityService } from "#gen/shop/identity/v1/identity_service.contract.ts";
import { type PersonalPlace, type Queryable, storedAnswers } from "#mesh/postgres/index.ts";
import { emailAccount, userAccount } from "./attempts.ts";
import type { Deps } from "./deps.ts";
import type { UserKind } from "./domain.ts";
import { recordEvent } from "./events.ts";
import type { Secrets } from "./secrets.ts";
import { EVENT, type EventRow } from "./store-events.ts";

/** Where identity holds something personal, in the order it goes: who is no user any more opens no further session. */
export function personalPlaces({
  secrets,
  clock,
  newId,
}: Pick<Deps, "secrets" | "clock" | "newId">): readonly PersonalPlace[] {
  return [failedAttempts(secrets), users({ clock, newId }), roles, sessions, securityEvents, answers];
}

const failedAttempts = (secrets: Secrets): PersonalPlace => ({
  // First, for it is found by the address. Later tries at that are tries at an address that nobody has.
  place: "identity.failed_attempts",
  kept: "",
  erase: async (tx, userId, limit) => {
    const accounts = await accountsOf(tx, secrets, userId);
    const rows = await tx.query(
      `delete from failed_attempts where (account, origin) in (
         select account, origin from failed_attempts where account = any($1)
         order by account, origin limit $2 for update)
       returning origin`,
      [accounts, limit],
    );
    return rows.length;
  },
  left: async (db, userId) => {
    const accounts = await accountsOf(db, secrets, userId);
    const [row] = await db.query<{ readonly count: bigint }>(
      `select count(*) as count from failed_attempts where account = any($1)`,
      [accounts],
    );
    return Number(row?.count ?? 0n);
  },
});

const users = (deps: Pick<Deps, "clock" | "newId">): PersonalPlace => ({
  place: "identity.users",
  kept: "the id, and when it was made and erased, so that it is nobody else's ever",
  erase: async (tx, userId) => {
    const rows = await tx.query(
      `update users set email = null, password_hash = null, erase_time = now()
       where id = $1 and erase_time is null returning id`,
      [userId],
    );
    if (rows.length > 0) await recordEvent(deps, tx, undefined, { kind: "erased", userId });
    return rows.length;
  },
  left: (db, userId) => count(db, `select count(*) as count from users where id = $1 and erase_time is null`, userId),
});

const roles: PersonalPlace = {
  place: "identity.user_roles",
  kept: "",
  erase: async (tx, userId) =>
    (await tx.query(`delete from user_roles where user_id = $1 returning role`, [userId])).length,
  left: (db, userId) => count(db, `select count(*) as count from user_roles where user_id = $1`, userId),
};

const sessions: PersonalPlace = {
  // With the digests of their refresh tokens.
  place: "identity.sessions",
  kept: "",
  erase: async (tx, userId, limit) =>
    (
      await tx.query(
        `delete from sessions where id in (
           select id from sessions where user_id = $1 order by id limit $2 for update)
         returning id`,
        [userId, limit],
      )
    ).length,
  left: (db, userId) => count(db, `select count(*) as count from sessions where user_id = $1`, userId),
};

const securityEvents: PersonalPlace = {
  // With the network addresses that somebody called from.
  place: "identity.security_events",
  kept: "that the id was erased, and when",
  erase: async (tx, userId, limit) =>
    (
      await tx.query(
        `delete from security_events where id in (
           select id from security_events where user_id = $1 and kind <> 'erased' order by id limit $2 for update)
         returning id`,
        [userId, limit],
      )
    ).length,
  left: (db, userId) =>
    count(db, `select count(*) as count from security_events where user_id = $1 and kind <> 'erased'`, userId),
};

// The digest of a sign-up would tell whoever guesses the address that they are right.
const answers = storedAnswers("identity.once_requests", [IdentityService]);

/** Under what a person's wrong tries are counted. */
async function accountsOf(db: Queryable, secrets: Secrets, userId: string): Promise<readonly string[]> {
  const [user] = await db.query<{ readonly email: string | null }>(`select email from users where id = $1`, [userId]);
  const email = user?.email ?? undefined;
  return [userAccount(secrets, userId), ...(email === undefined ? [] : [emailAccount(secrets, email)])];
}

async function count(db: Queryable, text: string, userId: string): Promise<number> {
  const [row] = await db.query<{ readonly count: bigint }>(text, [userId]);
  return Number(row?.count ?? 0n);
}

/** A user as they are given out. */
export interface PersonalUser {
  readonly id: string;
  readonly kind: UserKind;
  readonly email: string | null;
  readonly createTime: Date;
  readonly roles: readonly string[];
}

/** A user who is not erased. */
export async function exportUser(db: Queryable, userId: string): Promise<PersonalUser | undefined> {
  const [row] = await db.query<PersonalUser>(
    `select id, kind, email, create_time as "createTime",
       array(select role from user_roles where user_id = id order by role) as roles
     from users where id = $1 and erase_time is null`,
    [userId],
  );
  return row;
}

/** A session as it is given out. */
export interface PersonalSession {
  readonly id: string;
  readonly createTime: Date;
  readonly refreshTime: Date;
  readonly expireTime: Date;
  readonly revokeTime: Date | null;
}

/** A user's sessions, open or not, in the order of their ids, from the one after `afterId` on. */
export async function exportSessions(
  db: Queryable,
  page: { readonly userId: string; readonly afterId: string; readonly limit: number },
): Promise<readonly PersonalSession[]> {
  return db.query<PersonalSession>(
    `select id, create_time as "createTime", refresh_time as "refreshTime", expire_time as "expireTime",
       revoke_time as "revokeTime"
     from sessions where user_id = $1 and id > $2 order by id limit $3`,
    [page.userId, page.afterId, page.limit],
  );
}

/** A user's security events, in the order of their ids, from the one after `afterId` on. */
export async function exportEvents(
  db: Queryable,
  page: { readonly userId: string; readonly afterId: string; readonly limit: number },
): Promise<readonly EventRow[]> {
  return db.query<EventRow>(
    `select ${EVENT} from security_events
     where user_id = $1 and kind <> 'erased' and id > $2 order by id limit $3`,
    [page.userId, page.afterId, page.limit],
  );
}
