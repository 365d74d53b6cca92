import type { Queryable } from "#mesh/postgres/index.ts";

export interface PublicKeyRow {
  readonly id: string;
  /** base64url */
  readonly x: string;
  readonly createTime: Date;
  /** From when on it signs. */
  readonly signTime: Date;
  /** When the next one signs in its place. */
  readonly retireTime: Date | null;
}

export interface KeyRow extends PublicKeyRow {
  /** The private half, base64url. */
  readonly d: string;
}

/** A key that was just made. */
export type NewKey = Omit<KeyRow, "retireTime">;

const PUBLIC_KEY = `id, x, create_time as "createTime", sign_time as "signTime", retire_time as "retireTime"`;

/** The keys that sign or will. */
export async function listSigners(db: Queryable, now: Date): Promise<readonly KeyRow[]> {
  return db.query<KeyRow>(
    `select ${PUBLIC_KEY}, d from signing_keys where retire_time is null or retire_time > $1 order by sign_time`,
    [now],
  );
}

/** Makes the key the first one, unless there is one that nothing follows. */
export async function insertFirstKey(db: Queryable, key: NewKey): Promise<void> {
  await db.query(
    `insert into signing_keys (id, x, d, create_time, sign_time) values ($1, $2, $3, $4, $5) on conflict do nothing`,
    [key.id, key.x, key.d, key.createTime, key.signTime],
  );
}

/**
 * Makes the key follow the last one, if that signs since `before` or longer. One statement, so a key is never left
 * without the one that follows it; and of two at once the second finds that the last one is another. Returns whether it
 * did.
 */
export async function insertNextKey(db: Queryable, key: NewKey, before: Date): Promise<boolean> {
  const rows = await db.query(
    `with last as (
       update signing_keys set retire_time = $5 where retire_time is null and sign_time <= $6 returning id
     )
     insert into signing_keys (id, x, d, create_time, sign_time)
     select $1, $2, $3, $4, $5 from last returning id`,
    [key.id, key.x, key.d, key.createTime, key.signTime, before],
  );
  return rows.length > 0;
}

/** The public halves of the keys not retired before `since`, in the order in which they sign. */
export async function listPublicKeys(db: Queryable, since: Date): Promise<readonly PublicKeyRow[]> {
  return db.query<PublicKeyRow>(
    `select ${PUBLIC_KEY} from signing_keys where retire_time is null or retire_time > $1 order by sign_time`,
    [since],
  );
}

/** Forgets keys that were retired before `before`. */
export async function deleteRetiredKeys(db: Queryable, before: Date): Promise<void> {
  await db.query(`delete from signing_keys where retire_time < $1`, [before]);
}
