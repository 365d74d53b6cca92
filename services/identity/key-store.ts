import type { Queryable } from "#mesh/postgres/index.ts";

export interface PublicKeyRow {
  readonly id: string;
  /** base64url */
  readonly x: string;
  readonly createTime: Date;
}

export interface KeyRow extends PublicKeyRow {
  /** The private half, base64url. */
  readonly d: string;
}

/** The key that signs now. */
export async function getActiveKey(db: Queryable): Promise<KeyRow | undefined> {
  const [row] = await db.query<KeyRow>(
    `select id, x, d, create_time as "createTime" from signing_keys where retire_time is null`,
  );
  return row;
}

/** Makes the key the active one, unless there is one. */
export async function insertActiveKey(db: Queryable, key: KeyRow): Promise<void> {
  await db.query(`insert into signing_keys (id, x, d, create_time) values ($1, $2, $3, $4) on conflict do nothing`, [
    key.id,
    key.x,
    key.d,
    key.createTime,
  ]);
}

/** The public halves of the keys whose tokens may still be good: those not retired before `since`. The newest first. */
export async function listPublicKeys(db: Queryable, since: Date): Promise<readonly PublicKeyRow[]> {
  return db.query<PublicKeyRow>(
    `select id, x, create_time as "createTime" from signing_keys
     where retire_time is null or retire_time > $1 order by create_time desc, id`,
    [since],
  );
}
