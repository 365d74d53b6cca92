import { pino } from "pino";
import type { Notification } from "#gen/shop/notifications/v1/notification.ts";
import { NotificationService } from "#gen/shop/notifications/v1/notification_service.contract.ts";
import {
  type SendOrderConfirmationRequest,
  type SendRefundNoticeRequest,
  type SendShippingUpdateRequest,
  SendShippingUpdateRequest_Event,
} from "#gen/shop/notifications/v1/notification_service.ts";
import { implement } from "#mesh/contract/contract.ts";
import { newId } from "#mesh/ids.ts";
import { type Database, openDatabase } from "#mesh/postgres/index.ts";
import type { Repeating } from "#mesh/repeat.ts";
import { fakeClock } from "#testing/clock.ts";
import { startTestMesh, type TestMesh } from "#testing/mesh.ts";
import { testDatabase } from "#testing/postgres.ts";
import { notificationHandlers } from "../handlers.ts";
import { connectMailServer } from "../mail-server.ts";
import { defaultTimings, type SenderTimings, startSender } from "../sender.ts";

const from = { name: "Motion & Söhne", email: "orders@shop.test", domain: "shop.test" };

/** Notifications on a real database and real sockets; nothing is sent unless a sender is started. */
export interface TestNotifications {
  readonly mesh: TestMesh;
  readonly db: Database;
  /** Starts a sender as a process of its own would, on a pool of its own, whose timings are short. */
  startSender(port: number, timings?: Partial<SenderTimings>): TestSender;
  /** Ends the senders, and forgets all notifications. */
  clear(): Promise<void>;
  /** What senders have logged, as text. */
  readonly senderLog: readonly string[];
  close(): Promise<void>;
}

export interface TestSender extends Repeating {
  /** Cuts it off from its database, as the end of its process would; it writes nothing any more. */
  cutOff(): Promise<void>;
}

/** What tests are given a tenth of a second for rather than days; and polls quickly. */
const shortTimings: SenderTimings = {
  ...defaultTimings,
  claimIntervalMs: 20,
  leaseMs: 60_000,
  extendMs: 50,
  closeMs: 50,
  pause: { firstMs: 10, maxMs: 50 },
};

/** Starts it; close it when the test ends. `mailDir` is the folder of a mailbox of the same machine. */
export async function startTestNotifications(mailDir?: string): Promise<TestNotifications> {
  const database = await testDatabase(new URL("../migrations/", import.meta.url));
  const { db } = database;
  let senders: readonly TestSender[] = [];
  const senderLog: string[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => void senderLog.push(line) });
  const sender = { wake: () => senders.at(-1)?.wake() };
  const deps = { db, clock: fakeClock(), newId, sender, settings: { from, mailDir } };
  const mesh = await startTestMesh({
    notifications: () => [implement(NotificationService, notificationHandlers(deps))],
  });
  const clear = async (): Promise<void> => {
    await Promise.all(senders.map((one) => one.close()));
    senders = [];
    await db.query("delete from notifications");
  };
  return {
    mesh,
    db,
    senderLog,
    startSender(port, timings = {}) {
      const smtp = { host: "127.0.0.1", port, tls: "none", credentials: undefined } as const;
      const own = openDatabase({ url: database.url, log: pino({ level: "silent" }), applicationName: "sender" });
      const started = startSender({
        db: own,
        server: connectMailServer(smtp, from),
        shop: from.name,
        random: () => 0,
        log,
        timings: { ...shortTimings, ...timings },
      });
      let cut: Promise<void> | undefined;
      const cutOff = (): Promise<void> => {
        cut ??= own.close();
        return cut;
      };
      const testSender = { wake: started.wake, cutOff, close: () => started.close().then(cutOff) };
      senders = [...senders, testSender];
      return testSender;
    },
    clear,
    close: async () => {
      await clear();
      await mesh.close();
      await database.close();
    },
  };
}

const EUR = "EUR";
export const euros = (minorUnits: bigint) => ({ currencyCode: EUR, minorUnits });

export const recipient = (email = "ada@example.org") => ({ orderId: newId("ord"), customerId: newId("usr"), email });

/** A request to confirm an order, of somebody new unless told otherwise. */
export function confirmation(given: Partial<SendOrderConfirmationRequest> = {}): SendOrderConfirmationRequest {
  return {
    requestId: newId("req"),
    recipient: recipient(),
    lines: [
      { sku: "BLM-42-24V", title: "Brushless motor, 42 mm, 24 V", quantity: 2n, lineTotal: euros(25_800n) },
      { sku: "PLG-10", title: "Planetary gearbox, 10 : 1", quantity: 1n, lineTotal: euros(8_450n) },
    ],
    subtotal: euros(34_250n),
    shippingPrice: euros(490n),
    total: euros(34_740n),
    address: {
      recipient: "Jürgen Müßig-Größe",
      lines: ["Hauptstraße 1"],
      city: "München",
      postalCode: "80331",
      region: "",
      countryCode: "DE",
      phone: "",
    },
    shippingTitle: "Standard",
    minDays: 2,
    maxDays: 4,
    ...given,
  };
}

export function shippingUpdate(given: Partial<SendShippingUpdateRequest> = {}): SendShippingUpdateRequest {
  return {
    requestId: newId("req"),
    recipient: recipient(),
    shipmentId: newId("shp"),
    event: SendShippingUpdateRequest_Event.SHIPPED,
    ...given,
  };
}

export function refundNotice(given: Partial<SendRefundNoticeRequest> = {}): SendRefundNoticeRequest {
  return { requestId: newId("req"), recipient: recipient(), refundKey: "cancel", amount: euros(4_900n), ...given };
}

/** What orders, customers and an operator ask, in short. */
export function askersOf(notifications: () => TestNotifications) {
  const node = (workload: string) => notifications().mesh.mesh(workload);
  const client = (workload: string) => node(workload).client(NotificationService);
  const call = (workload: string) => node(workload).background({ name: "test", timeoutMs: 20_000 });
  const known = (notification: Notification | undefined): Notification => {
    if (notification === undefined) throw new Error("an answer without a notification");
    return notification;
  };
  const get = async (notificationId: string) => {
    const answer = await client("operator").getNotification({ notificationId }, call("operator"));
    return { ...answer, notification: known(answer.notification) };
  };
  return {
    client,
    call,
    get,
    confirm: async (request = confirmation()) =>
      known((await client("orders").sendOrderConfirmation(request, call("orders"))).notification),
    retry: (notificationId: string) =>
      client("operator").try.retryNotification({ requestId: newId("req"), notificationId }, call("operator")),
    erase: async (customerId: string, requestId = newId("req")) =>
      (await client("customers").eraseCustomerData({ requestId, customerId }, call("customers"))).erasures,
    /** Waits until a notification is as wanted. */
    until: async (id: string, isSo: (notification: Notification) => boolean): Promise<Notification> => {
      for (;;) {
        const { notification } = await get(id);
        if (isSo(notification)) return notification;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}
