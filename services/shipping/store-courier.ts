import type { Database } from "#mesh/postgres/index.ts";

/** Shipments that are sorted, not where they end, and have not changed since `restedSince`: the oldest first. */
export async function listWaiting(db: Database, restedSince: Date, limit: number): Promise<readonly string[]> {
  const rows = await db.query<{ readonly id: string }>(
    `select id from shipments
     where state in ('BOOKED', 'IN_TRANSIT') and sort_due_time is null and update_time <= $1
     order by update_time limit $2`,
    [restedSince, limit],
  );
  return rows.map(({ id }) => id);
}
