import { setTimeout } from "node:timers/promises";
import type { Database } from "#mesh/postgres/index.ts";

/** Holds the stock of a SKU from outside, so that whoever wants to change it waits half-way. */
export async function holdStock(db: Database, sku: string): Promise<{ release(): Promise<void> }> {
  const session = await db.session();
  await session.script("begin");
  await session.query("select 1 from stock where sku = $1 for update", [sku]);
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
