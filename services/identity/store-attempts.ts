import type { Queryable, Transaction } from "#mesh/postgres/index.ts";
import type { AttemptCount } from "./domain-attempts.ts";

/** Which count. */
export interface CountKey {
  readonly account: string;
  readonly origin: string;
}

/** A count as it is stored. */
export interface CountRow extends CountKey, AttemptCount {}

/** The counts of these keys that there are, without waiting for anybody. */
export async function findCounts(db: Queryable, keys: readonly CountKey[]): Promise<readonly CountRow[]> {
  return db.query<CountRow>(
    `select account, origin, level, update_time as "updateTime" from failed_attempts
     where (account, origin) in (select * from unnest($1::text[], $2::text[]))`,
    columns(keys),
  );
}

/** The same, after every change that is under way. */
export async function settledCounts(db: Queryable, keys: readonly CountKey[]): Promise<readonly CountRow[]> {
  return db.query<CountRow>(
    `select account, origin, level, update_time as "updateTime" from failed_attempts
     where (account, origin) in (select * from unnest($1::text[], $2::text[]))
     order by account, origin for update`,
    columns(keys),
  );
}

/** The counts of these keys, locked until the transaction ends; what was not there is made, at nothing. */
export async function lockCounts(tx: Transaction, keys: readonly CountKey[], now: Date): Promise<readonly CountRow[]> {
  // In the order of their keys, in which everybody takes them.
  return tx.query<CountRow>(
    `insert into failed_attempts as f (account, origin, level, update_time, drain_time)
     select account, origin, 0, $3, $3 from unnest($1::text[], $2::text[]) as k (account, origin)
     order by account, origin
     on conflict (account, origin) do update set level = f.level
     returning account, origin, level, update_time as "updateTime"`,
    [...columns(keys), now],
  );
}

/** Sets a count that is locked. */
export async function updateCount(tx: Transaction, row: CountRow & { readonly drainTime: Date }): Promise<void> {
  await tx.query(
    `update failed_attempts set level = $3, update_time = $4, drain_time = $5 where account = $1 and origin = $2`,
    [row.account, row.origin, row.level, row.updateTime, row.drainTime],
  );
}

/** Forgets a count. */
export async function deleteCount(db: Queryable, { account, origin }: CountKey): Promise<void> {
  await db.query(`delete from failed_attempts where account = $1 and origin = $2`, [account, origin]);
}

/** Forgets at most `limit` counts that have drained off. Returns how many. */
export async function deleteDrainedCounts(db: Queryable, now: Date, limit: number): Promise<number> {
  return (await db.query(deleteOldest("where drain_time <= $2"), [limit, now])).length;
}

/** Forgets at most `limit` counts beyond the `keep` that drain off last. Returns how many. */
export async function deleteSurplusCounts(db: Queryable, keep: number, limit: number): Promise<number> {
  const [row] = await db.query<{ readonly count: bigint }>(`select count(*) as count from failed_attempts`);
  const surplus = Math.min(Number(row?.count ?? 0n) - keep, limit);
  return surplus <= 0 ? 0 : (await db.query(deleteOldest(""), [surplus])).length;
}

function deleteOldest(condition: "" | "where drain_time <= $2"): string {
  return `delete from failed_attempts where (account, origin) in (
       select account, origin from failed_attempts ${condition} order by drain_time limit $1 for update skip locked)
     returning 1 as removed`;
}

function columns(keys: readonly CountKey[]): readonly [readonly string[], readonly string[]] {
  return [keys.map(({ account }) => account), keys.map(({ origin }) => origin)];
}
