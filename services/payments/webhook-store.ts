import type { Queryable } from "#mesh/postgres/index.ts";

/** Takes in a webhook's event. Returns whether it is new. */
export async function insertWebhookEvent(
  db: Queryable,
  event: { readonly provider: string; readonly eventId: string; readonly now: Date },
): Promise<boolean> {
  const rows = await db.query(
    `insert into webhook_events (provider, event_id, create_time) values ($1, $2, $3)
     on conflict do nothing returning event_id`,
    [event.provider, event.eventId, event.now],
  );
  return rows.length > 0;
}

/** Whether a webhook's event was taken in before. */
export async function hasWebhookEvent(db: Queryable, provider: string, eventId: string): Promise<boolean> {
  const rows = await db.query(`select event_id from webhook_events where provider = $1 and event_id = $2`, [
    provider,
    eventId,
  ]);
  return rows.length > 0;
}

/** Forgets events that were taken in before a moment, at most so many. Returns how many. */
export async function deleteWebhookEvents(db: Queryable, before: Date, limit: number): Promise<number> {
  const rows = await db.query(
    `delete from webhook_events where (provider, event_id) in (
       select provider, event_id from webhook_events where create_time < $1 order by create_time limit $2
     ) returning event_id`,
    [before, limit],
  );
  return rows.length;
}
