import type { ListSecurityEventsRequest, ListSecurityEventsResponse } from "#gen/shop/identity/v1/identity_service.ts";
import { SecurityEvent_Kind as Kind, type SecurityEvent } from "#gen/shop/identity/v1/security_event.ts";
import type { Transaction } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import type { Deps } from "./deps.ts";
import type { SecurityEventKind } from "./domain-events.ts";
import { roleOf } from "./role-names.ts";
import { type EventRow, insertEvent, listEvents } from "./store-events.ts";

const PAGE_SIZE = 20;

/** Of one kind and user so many are kept in an hour, lest somebody who fails without end fill the table. */
const MAX_EVENTS_AN_HOUR = 60;
const HOUR_MS = 60 * 60 * 1_000;

/** What happened. */
export interface EventInit {
  readonly kind: SecurityEventKind;
  /** Whom it concerns; of nobody who is there nothing is written. Undefined when it concerns nobody in particular. */
  readonly userId: string | undefined;
  readonly sessionId?: string;
  readonly actor?: string;
  readonly role?: string;
  readonly knownDevice?: boolean;
}

/** Writes an event in the transaction of what it tells of. */
export async function recordEvent(
  { clock, newId }: Pick<Deps, "clock" | "newId">,
  tx: Transaction,
  call: Pick<Call, "clientAddress"> | undefined,
  { kind, userId, sessionId, actor, role, knownDevice = false }: EventInit,
): Promise<void> {
  const now = clock.now();
  const row: EventRow = {
    ...{ id: newId("sev"), kind, createTime: now, userId: userId ?? null, sessionId: sessionId ?? null },
    clientAddress: call === undefined || call.clientAddress === "" ? null : call.clientAddress,
    ...{ actor: actor ?? null, role: role ?? null, knownDevice },
  };
  await insertEvent(tx, row, { since: new Date(now.getTime() - HOUR_MS), most: MAX_EVENTS_AN_HOUR });
}

/** Who acts, where that is not the user whom it concerns. */
export function actorOf({ user, caller }: Pick<Call, "user" | "caller">): string {
  return user?.id ?? caller;
}

export const listSecurityEvents =
  ({ db }: Pick<Deps, "db">) =>
  async (request: ListSecurityEventsRequest, call: Call): Promise<ListSecurityEventsResponse> => {
    const { pageSize, pageToken } = request;
    const userId = whoseOf(request, call);
    const filter = userId ?? "everybody";
    const beforeId = decodeIdToken(filter, pageToken, "sev");
    if (!mayRead(call, userId)) return { events: [], nextPageToken: "" };
    const limit = pageSize === 0 ? PAGE_SIZE : pageSize;
    const found = await listEvents(db, { userId, beforeId, limit: limit + 1 });
    const { items, nextPageToken } = pageById(found, { limit, filter });
    return { events: items.map(message), nextPageToken };
  };

function whoseOf({ userId }: ListSecurityEventsRequest, { user }: Call): string | undefined {
  return userId === "" ? user?.id : userId;
}

function mayRead({ user }: Call, userId: string | undefined): boolean {
  return user === undefined || user.id === userId || user.roles.includes("admin") || user.roles.includes("support");
}

function message(row: EventRow): SecurityEvent {
  return {
    ...{ id: row.id, kind: KINDS[row.kind], createTime: row.createTime, userId: row.userId ?? "" },
    ...{ sessionId: row.sessionId ?? "", clientAddress: row.clientAddress ?? "", actor: row.actor ?? "" },
    ...{ role: roleOf(row.role), knownDevice: row.knownDevice },
  };
}

const KINDS: Readonly<Record<SecurityEventKind, Kind>> = {
  signed_up: Kind.SIGNED_UP,
  signed_in: Kind.SIGNED_IN,
  sign_in_failed: Kind.SIGN_IN_FAILED,
  sign_in_blocked: Kind.SIGN_IN_BLOCKED,
  refresh_token_reused: Kind.REFRESH_TOKEN_REUSED,
  password_changed: Kind.PASSWORD_CHANGED,
  password_change_failed: Kind.PASSWORD_CHANGE_FAILED,
  session_revoked: Kind.SESSION_REVOKED,
  role_granted: Kind.ROLE_GRANTED,
  role_revoked: Kind.ROLE_REVOKED,
  signing_key_rotated: Kind.SIGNING_KEY_ROTATED,
  erased: Kind.ERASED,
};
