import type { Queryable, Transaction } from "#mesh/postgres/index.ts";
import type { SecurityEventKind } from "./domain-events.ts";

/** A security event as it is stored. */
export interface EventRow {
  readonly id: string;
  readonly kind: SecurityEventKind;
  readonly createTime: Date;
  readonly userId: string | null;
  readonly sessionId: string | null;
  readonly clientAddress: string | null;
  readonly actor: string | null;
  readonly role: string | null;
  readonly knownDevice: boolean;
}

/** The columns of an event. */
export const EVENT = `id, kind, create_time as "createTime", user_id as "userId", session_id as "sessionId",
  client_address as "clientAddress", actor, role, known_device as "knownDevice"`;

/**
 * Adds an event, unless it is about a user who is not there, or of whom there are `most` of this kind since `since`. The
 * same work is done for users who are not there.
 */
export async function insertEvent(
  tx: Transaction,
  event: EventRow,
  { since, most }: { readonly since: Date; readonly most: number },
): Promise<void> {
  await tx.query(
    `insert into security_events
       (id, kind, create_time, user_id, session_id, client_address, actor, role, known_device)
     select $1, $2, $3, $4, $5, $6, $7, $8, $9
     where $4::text is null or (exists (select from users where id = $4) and (
       select count(*) from (
         select from security_events where user_id = $4 and kind = $2 and create_time > $10 limit $11) as late) < $11)`,
    [
      ...[event.id, event.kind, event.createTime, event.userId, event.sessionId],
      ...[event.clientAddress, event.actor, event.role, event.knownDevice, since, most],
    ],
  );
}

/** A user's events, or everybody's, the newest first, from the one before `beforeId` on. */
export async function listEvents(
  db: Queryable,
  page: { readonly userId: string | undefined; readonly beforeId: string | undefined; readonly limit: number },
): Promise<readonly EventRow[]> {
  if (page.userId === undefined) {
    return db.query<EventRow>(
      `select ${EVENT} from security_events where $1::text is null or id < $1 order by id desc limit $2`,
      [page.beforeId, page.limit],
    );
  }
  return db.query<EventRow>(
    `select ${EVENT} from security_events
     where user_id = $1 and ($2::text is null or id < $2) order by id desc limit $3`,
    [page.userId, page.beforeId, page.limit],
  );
}

/** Forgets events from before `before`: at most `limit`. Returns how many. */
export async function deleteOldEvents(db: Queryable, before: Date, limit: number): Promise<number> {
  const rows = await db.query(
    `delete from security_events where id in (
       select id from security_events where create_time < $1 order by create_time limit $2 for update skip locked)
     returning 1 as removed`,
    [before, limit],
  );
  return rows.length;
}
