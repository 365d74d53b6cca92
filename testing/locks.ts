import { setTimeout } from "node:timers/promises";
import type { Database } from "#mesh/postgres/index.ts";

/** Runs statements on a connection of its own and keeps their locks, so that whoever wants them waits half-way. */
export async function holdLocks(
  db: Database,
  text: string,
  values: readonly unknown[] = [],
): Promise<{ release(): Promise<void> }> {
  const session = await db.session();
  await session.script("begin");
  await session.query(text, values);
  return { release: () => session.close() };
}

const POLL_MS = 10;
const POLLS = 1_000;

/** Resolves once so many connections (beside `other`) wait for locks in this database, with their process ids. */
export async function waiting(db: Database, count: number, other = 0): Promise<readonly number[]> {
  for (let poll = 0; poll < POLLS; poll += 1) {
    const rows = await db.query<{ readonly pid: number }>(
      `select pid from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and pid <> $1 order by pid`,
      [other],
    );
    if (rows.length >= count) return rows.map(({ pid }) => pid);
    await setTimeout(POLL_MS);
  }
  throw new Error(`fewer than ${count} connections came to wait for a lock`);
}

/** Ends the one connection that waits while `held` is held; what comes in its place waits too, and then goes on. */
export async function cutWhileHeld<T>(
  db: Database,
  held: { release(): Promise<void> },
  { begin, whileCut }: { readonly begin: () => Promise<T>; readonly whileCut?: () => Promise<void> },
): Promise<T> {
  const running = begin();
  const [pid] = await waiting(db, 1);
  await db.query("select pg_terminate_backend($1)", [pid]);
  await waiting(db, 1, pid);
  await whileCut?.();
  await held.release();
  return running;
}
