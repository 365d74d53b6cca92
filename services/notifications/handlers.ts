import type { Notification } from "#gen/shop/notifications/v1/notification.ts";
import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import {
  type GetNotificationRequest,
  type GetNotificationResponse,
  type ListNotificationsRequest,
  type ListNotificationsResponse,
  type Recipient,
  type RetryNotificationRequest,
  type RetryNotificationResponse,
  type SendOrderConfirmationRequest,
  type SendOrderConfirmationResponse,
  type SendRefundNoticeRequest,
  type SendRefundNoticeResponse,
  type SendShippingUpdateRequest,
  SendShippingUpdateRequest_Event,
  type SendShippingUpdateResponse,
} from "#gen/shop/notifications/v1/notification_service.ts";
import type { Clock } from "#mesh/clock.ts";
import type { Handlers } from "#mesh/contract/contract.ts";
import { failures } from "#mesh/contract/errors.ts";
import { type Database, once, requestIdReused, requestKeyOf } from "#mesh/postgres/index.ts";
import type { Call } from "#mesh/rpc/call.ts";
import { decodeIdToken, pageById } from "#mesh/rpc/page-token.ts";
import { GIVE_UP_AFTER_MS, type Kind } from "./domain.ts";
import { confirmationLetter, refundLetter, shippingLetter, writeMail } from "./letters.ts";
import { notificationMessage, stateOf } from "./messages.ts";
import { eraseCustomerData, exportCustomerData } from "./personal-data.ts";
import type { MailSettings } from "./settings.ts";
import * as store from "./store.ts";

/** What the handlers work with. */
export interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newId: (prefix: string) => string;
  /** Told of a mail that is due. */
  readonly sender: { wake(): void };
  readonly settings: Pick<MailSettings, "from" | "mailDir">;
}

const fail = failures(NotificationService);

/** How many notifications are on a page when the caller does not say. */
const DEFAULT_PAGE_SIZE = 20;

/** The handlers of `shop.notifications.v1.NotificationService`. */
export function notificationHandlers(deps: Deps): Handlers<typeof NotificationService> {
  return {
    sendOrderConfirmation: sendOrderConfirmation(deps),
    sendShippingUpdate: sendShippingUpdate(deps),
    sendRefundNotice: sendRefundNotice(deps),
    listNotifications: listNotifications(deps),
    getNotification: getNotification(deps),
    retryNotification: retryNotification(deps),
    exportCustomerData: exportCustomerData(deps),
    eraseCustomerData: eraseCustomerData(deps),
  };
}

const sendOrderConfirmation =
  (deps: Deps) =>
  async (request: SendOrderConfirmationRequest, call: Call): Promise<SendOrderConfirmationResponse> => {
    const letter = confirmationLetter(request);
    return { notification: await writeDown(deps, call, request, { kind: "ORDER_CONFIRMATION", about: "", letter }) };
  };

const sendShippingUpdate =
  (deps: Deps) =>
  async (request: SendShippingUpdateRequest, call: Call): Promise<SendShippingUpdateResponse> => {
    const kind = request.event === SendShippingUpdateRequest_Event.SHIPPED ? "SHIPPED" : "DELIVERED";
    const letter = shippingLetter(request);
    return { notification: await writeDown(deps, call, request, { kind, about: request.shipmentId, letter }) };
  };

const sendRefundNotice =
  (deps: Deps) =>
  async (request: SendRefundNoticeRequest, call: Call): Promise<SendRefundNoticeResponse> => {
    const letter = refundLetter(request);
    return { notification: await writeDown(deps, call, request, { kind: "REFUND", about: request.refundKey, letter }) };
  };

interface MailRequest {
  readonly requestId: string;
  readonly recipient: Recipient | undefined;
}

interface Matter {
  readonly kind: Kind;
  /** Which shipment or refund; empty for the order itself. */
  readonly about: string;
  readonly letter: Uint8Array;
}

/**
 * Writes a mail down, once for each matter, and has it sent soon. Whoever asks again is answered with the notification as
 * it is then. Throws REQUEST_ID_REUSED.
 */
async function writeDown(deps: Deps, call: Call, request: MailRequest, matter: Matter): Promise<Notification> {
  const { db, newId, sender, settings } = deps;
  const { recipient, requestId } = request;
  if (recipient === undefined) throw new Error("the contract requires a recipient");
  const { orderId, customerId, email } = recipient;
  const { requestSha256: requestHash } = requestKeyOf(call, request);
  const key = { method: call.method.name, requestId };
  const id = newId("ntf");
  call.signal.throwIfAborted();
  const written = await store.insertNotification(db, {
    ...key,
    ...matter,
    id,
    requestHash,
    orderId,
    customerId,
    email,
    messageId: `${id}@${settings.from.domain}`,
    giveUpAfterMs: GIVE_UP_AFTER_MS,
  });
  if (written !== undefined) {
    sender.wake();
    return notificationMessage(written);
  }
  const copy = await store.findByRequest(db, key);
  // Without a hash its data is erased, and nothing is left to compare.
  if (copy !== undefined && copy.requestHash.length > 0 && !requestHash.equals(copy.requestHash)) {
    throw requestIdReused(requestId);
  }
  const known = copy ?? (await store.findByMatter(db, { orderId, kind: matter.kind, about: matter.about }));
  if (known === undefined) throw new Error("a notification that kept another from being written is gone");
  return notificationMessage(known);
}

const listNotifications =
  ({ db }: Deps) =>
  async (request: ListNotificationsRequest): Promise<ListNotificationsResponse> => {
    const { orderId, state, pageToken, pageSize } = request;
    const filter = { orderId, state };
    const limit = pageSize === 0 ? DEFAULT_PAGE_SIZE : pageSize;
    const rows = await store.listNotifications(db, {
      orderId: orderId === "" ? undefined : orderId,
      state: stateOf(state),
      beforeId: decodeIdToken(filter, pageToken, "ntf"),
      // One more than asked tells whether there is a page after.
      limit: limit + 1,
    });
    const { items, nextPageToken } = pageById(rows, { limit, filter });
    return { notifications: items.map(notificationMessage), nextPageToken };
  };

const getNotification =
  ({ db, settings }: Deps) =>
  async ({ notificationId }: GetNotificationRequest): Promise<GetNotificationResponse> => {
    const row = found(await store.getNotification(db, notificationId));
    const notification = notificationMessage(row);
    if (row.state === "ERASED") return { notification, text: "", html: "" };
    const { orderId, createTime: time } = row;
    const { text, html } = writeMail(row.kind, row.letter, { orderId, shop: settings.from.name, time });
    return { notification, text, html };
  };

const retryNotification =
  ({ db, clock, sender }: Deps) =>
  async (request: RetryNotificationRequest, call: Call): Promise<RetryNotificationResponse> => {
    const { notificationId: id } = request;
    // The answer that is kept is empty, for it would hold an address; a copy, too, shows the notification as it is then.
    await once(db, call, request, clock, async (tx): Promise<RetryNotificationResponse> => {
      const { state } = found(await store.lockNotification(tx, id));
      if (state === "SENT" || state === "ERASED") {
        throw fail("STATE_CONFLICT", `The notification is ${state}: there is nothing to try again.`, { state });
      }
      await store.queueAgain(tx, { id, giveUpAfterMs: GIVE_UP_AFTER_MS });
      return { notification: undefined };
    });
    sender.wake();
    return { notification: notificationMessage(found(await store.getNotification(db, id))) };
  };

function found<Row>(row: Row | undefined): Row {
  if (row === undefined) throw fail("NOTIFICATION_NOT_FOUND", "There is no such notification.");
  return row;
}
