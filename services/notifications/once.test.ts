import { afterAll, beforeAll } from "vitest";
import type { Notification } from "#gen/shop/notifications/v1/notification.ts";
import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import { SendShippingUpdateRequest_Event } from "#gen/shop/notifications/v1/notification_service.ts";
import { newId } from "#mesh/ids.ts";
import { person, testOnce, workload } from "#testing/once.ts";
import {
  askersOf,
  confirmation,
  euros,
  refundNotice,
  shippingUpdate,
  startTestNotifications,
  type TestNotifications,
} from "./testing/notifications.ts";

let notifications: TestNotifications;
beforeAll(async () => {
  notifications = await startTestNotifications();
});
afterAll(() => notifications?.close());

const { confirm, erase, get } = askersOf(() => notifications);

const orders = () => [workload("orders")] as const;
const ofOrder = async (orderId = "") => {
  const rows = await notifications.db.query<{ kind: string; about: string }>(
    "select kind, about from notifications where order_id = $1",
    [orderId],
  );
  return rows.map(({ kind, about }) => `${kind} ${about}`);
};
const answer = ({ notification }: { readonly notification: Notification | undefined }) => notification?.id;

testOnce(NotificationService, () => notifications.mesh, {
  sendOrderConfirmation: {
    callers: orders,
    prepare: async (_, requestId) => {
      const request = confirmation({ requestId });
      return {
        request,
        other: () => ({ ...request, total: euros(1n) }),
        effect: () => ofOrder(request.recipient?.orderId),
        once: ["ORDER_CONFIRMATION "],
      };
    },
  },
  sendShippingUpdate: {
    callers: orders,
    prepare: async (_, requestId) => {
      const request = shippingUpdate({ requestId });
      return {
        request,
        other: () => ({ ...request, event: SendShippingUpdateRequest_Event.DELIVERED }),
        effect: () => ofOrder(request.recipient?.orderId),
        once: [`SHIPPED ${request.shipmentId}`],
      };
    },
  },
  sendRefundNotice: {
    callers: orders,
    prepare: async (_, requestId) => {
      const request = refundNotice({ requestId });
      return {
        request,
        other: () => ({ ...request, refundKey: "another" }),
        effect: () => ofOrder(request.recipient?.orderId),
        once: [`REFUND ${request.refundKey}`],
      };
    },
  },
  retryNotification: {
    callers: () => [person("support"), person("admin")],
    // A replay, too, shows the notification as it is then.
    answer,
    prepare: async (_, requestId) => {
      const fail = (id: string) =>
        notifications.db.query("update notifications set state = 'FAILED', next_attempt_time = null where id = $1", [
          id,
        ]);
      const [{ id }, { id: another }] = [await confirm(), await confirm()];
      await fail(id);
      await fail(another);
      const request = { requestId, notificationId: id };
      return {
        request,
        other: () => ({ ...request, notificationId: another }),
        meanwhile: () => fail(id),
        effect: async () => [(await get(id)).notification.state, (await get(another)).notification.state],
        once: [1, 3],
      };
    },
  },
  eraseCustomerData: {
    callers: () => [workload("customers")],
    prepare: async (_, requestId) => {
      const [first, second] = [await confirm(), await confirm()];
      const request = { requestId, customerId: first.customerId };
      return {
        request,
        other: () => ({ ...request, customerId: second.customerId }),
        // It goes on under another id as well.
        meanwhile: () => erase(first.customerId, newId("req")),
        effect: async () => [(await get(first.id)).notification.email, (await get(second.id)).notification.email],
        once: ["", "ada@example.org"],
      };
    },
  },
});
