import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Notification_Kind, Notification_State } from "#gen/shop/notifications/v1/notification.ts";
import { SendShippingUpdateRequest_Event } from "#gen/shop/notifications/v1/notification_service.ts";
import { newId } from "#mesh/ids.ts";
import {
  askersOf,
  confirmation,
  recipient,
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
afterEach(() => notifications.clear());

const { call, client, confirm, get, retry } = askersOf(() => notifications);
const send = () => client("orders");
const list = (given: { orderId?: string; state?: Notification_State; pageSize?: number; pageToken?: string } = {}) =>
  client("operator").listNotifications(
    { orderId: "", state: Notification_State.UNSPECIFIED, pageSize: 0, pageToken: "", ...given },
    call("operator"),
  );

describe("a mail that is asked for", () => {
  test("is written down, due at once, with its words", async () => {
    const request = confirmation();
    const { id } = await confirm(request);
    const { notification, text, html } = await get(id);
    expect(notification).toMatchObject({
      kind: Notification_Kind.ORDER_CONFIRMATION,
      state: Notification_State.QUEUED,
      orderId: request.recipient?.orderId,
      customerId: request.recipient?.customerId,
      email: "ada@example.org",
      subject: `Thank you for your order (${request.recipient?.orderId})`,
      messageId: `${id}@shop.test`,
      attempts: 0,
      sendTime: undefined,
    });
    expect(notification.nextAttemptTime).toEqual(notification.createTime);
    expect(text).toContain("Hello Jürgen Müßig-Größe,");
    expect(text).toContain("€347.40");
    expect(html).toContain("Hello Jürgen Müßig-Größe,");
  });

  test("is one for each order, kind and subject, whatever the request_id", async () => {
    const to = recipient();
    const shipped = shippingUpdate({ recipient: to });
    const { shipmentId } = shipped;
    const DELIVERED = SendShippingUpdateRequest_Event.DELIVERED;
    const ids = new Set<string | undefined>();
    for (let times = 0; times < 2; times += 1) {
      const again = { requestId: newId("req"), recipient: to };
      ids.add((await confirm(confirmation(again))).id);
      for (const request of [
        shippingUpdate({ ...again, shipmentId }),
        shippingUpdate({ requestId: newId("req"), recipient: to, shipmentId, event: DELIVERED }),
        shippingUpdate({ requestId: newId("req"), recipient: to, shipmentId: `${shipmentId}2` }),
      ]) {
        ids.add((await send().sendShippingUpdate(request, call("orders"))).notification?.id);
      }
      for (const refundKey of ["cancel", "return-1"]) {
        const request = refundNotice({ requestId: newId("req"), recipient: to, refundKey });
        ids.add((await send().sendRefundNotice(request, call("orders"))).notification?.id);
      }
    }
    expect(ids.size).toBe(6);
    const { notifications: all } = await list({ orderId: to.orderId });
    expect(all.map(({ id }) => id)).toEqual([...ids].toReversed());
  });

  test("is refused when it is for nobody, or takes longer than a year", async () => {
    for (const request of [
      confirmation({ recipient: recipient("nobody") }),
      confirmation({ recipient: recipient("ada@example.org\r\nBcc: eve@example.org") }),
      confirmation({ maxDays: 367 }),
    ]) {
      const result = await send().try.sendOrderConfirmation(request, call("orders"));
      expect(result).toMatchObject({ ok: false, error: { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" } });
    }
  });

  test("is asked for by orders alone", async () => {
    for (const workload of ["gateway", "operator", "customers"]) {
      const asked = client(workload).try.sendOrderConfirmation(confirmation(), call(workload));
      expect(await asked).toMatchObject({ ok: false, error: { code: expect.stringMatching(/PERMISSION|UNAUTH/) } });
    }
  });
});

describe("the list", () => {
  test("goes page by page, the newest first, by order and by state", async () => {
    const made = [];
    for (let count = 0; count < 5; count += 1) made.push((await confirm()).id);
    const newest = made.toReversed();
    const first = await list({ pageSize: 2 });
    expect(first.notifications.map(({ id }) => id)).toEqual(newest.slice(0, 2));
    const second = await list({ pageSize: 2, pageToken: first.nextPageToken });
    expect(second.notifications.map(({ id }) => id)).toEqual(newest.slice(2, 4));
    const third = await list({ pageSize: 2, pageToken: second.nextPageToken });
    expect(third).toMatchObject({ notifications: [{ id: newest[4] }], nextPageToken: "" });

    await notifications.db.query(
      "update notifications set state = 'FAILED', next_attempt_time = null where id = any($1)",
      [made.slice(0, 2)],
    );
    const failed = await list({ state: Notification_State.FAILED });
    expect(failed.notifications.map(({ id }) => id)).toEqual(made.slice(0, 2).toReversed());
    const { orderId } = (await get(made[0] ?? "")).notification;
    expect((await list({ orderId, state: Notification_State.FAILED })).notifications).toHaveLength(1);
    expect((await list({ orderId, state: Notification_State.QUEUED })).notifications).toHaveLength(0);
  });

  test("refuses a page token of another filter", async () => {
    await confirm();
    await confirm();
    const { nextPageToken: pageToken } = await list({ pageSize: 1 });
    await expect(list({ pageSize: 1, pageToken, orderId: "ord_1" })).rejects.toMatchObject({
      reason: "INVALID_PAGE_TOKEN",
    });
  });

  test("and the words of a mail are for support, not for customers", async () => {
    const { id } = await confirm();
    const as = (...roles: string[]) => notifications.mesh.call({ user: { roles } });
    const gateway = client("gateway");
    expect(await gateway.try.getNotification({ notificationId: id }, as("support"))).toMatchObject({ ok: true });
    const denied = { ok: false, error: { code: "PERMISSION_DENIED" } };
    expect(await gateway.try.getNotification({ notificationId: id }, as())).toMatchObject(denied);
    expect(await gateway.try.getNotification({ notificationId: id }, as("courier"))).toMatchObject(denied);
  });
});

test("what is not there is NOT_FOUND", async () => {
  const notificationId = newId("ntf");
  const error = { code: "NOT_FOUND", reason: "NOTIFICATION_NOT_FOUND" };
  expect(await retry(notificationId)).toMatchObject({ ok: false, error });
  expect(await client("operator").try.getNotification({ notificationId }, call("operator"))).toMatchObject({
    ok: false,
    error,
  });
});
