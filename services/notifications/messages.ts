import { type Notification, Notification_Kind, Notification_State } from "#gen/shop/notifications/v1/notification.ts";
import type { State } from "./domain.ts";
import { subjectOf } from "./domain-page.ts";
import type { NotificationRow } from "./store.ts";

/** A notification as the contract shows it. */
export function notificationMessage(row: NotificationRow): Notification {
  return {
    id: row.id,
    kind: Notification_Kind[row.kind],
    state: Notification_State[row.state],
    orderId: row.orderId,
    customerId: row.customerId,
    email: row.email,
    subject: row.state === "ERASED" ? "" : subjectOf(row.kind, row.orderId),
    messageId: row.messageId,
    attempts: row.attempts,
    lastError: row.lastError,
    nextAttemptTime: row.nextAttemptTime ?? undefined,
    createTime: row.createTime,
    sendTime: row.sendTime ?? undefined,
  };
}

const states: readonly State[] = ["QUEUED", "SENT", "FAILED", "ERASED"];

/** The state that a filter names; undefined for any. */
export function stateOf(state: Notification_State): State | undefined {
  return states.find((name) => Notification_State[name] === state);
}
