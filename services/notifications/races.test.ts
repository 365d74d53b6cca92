import { readdir } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Notification_State } from "#gen/shop/notifications/v1/notification.ts";
import { newId } from "#mesh/ids.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { startMailbox } from "../../simulators/mailbox/mailbox.ts";
import {
  askersOf,
  confirmation,
  recipient,
  startTestNotifications,
  type TestNotifications,
  type TestSender,
} from "./testing/notifications.ts";
import { type MisbehavingServer, startMisbehavingServer } from "./testing/smtp-server.ts";

const { SENT, QUEUED } = Notification_State;

let notifications: TestNotifications;
let server: MisbehavingServer;
beforeAll(async () => {
  notifications = await startTestNotifications();
});
afterAll(() => notifications?.close());
beforeEach(async () => {
  server = await startMisbehavingServer();
});
afterEach(async () => {
  await notifications.clear();
  await server.close();
});

const { call, client, confirm, get, retry, until } = askersOf(() => notifications);

test("many who ask for the same mail at once, each by a request of their own, get one", async () => {
  const to = recipient();
  const asked = await Promise.all(
    Array.from({ length: 20 }, () => confirm(confirmation({ requestId: newId("req"), recipient: to }))),
  );
  expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
  const filter = { orderId: to.orderId, state: Notification_State.UNSPECIFIED, pageSize: 0, pageToken: "" };
  const { notifications: all } = await client("operator").listNotifications(filter, call("operator"));
  expect(all).toHaveLength(1);
});

test("senders of several processes share the mails, and send each once", async () => {
  const made = await Promise.all(Array.from({ length: 30 }, () => confirm()));
  for (let count = 0; count < 3; count += 1) notifications.startSender(server.port);
  for (const { id } of made) await until(id, ({ state }) => state === SENT);
  expect(server.taken.map(({ messageId }) => messageId).toSorted()).toEqual(
    made.map(({ messageId }) => messageId).toSorted(),
  );
});

test("a process that ends between the server's answer and its row leaves one mail in the mailbox", async () => {
  const dir = await temporaryFolder();
  let first: TestSender | undefined;
  // The mailbox has the mail, and is about to say so; nothing can be written down any more.
  const log = { info: () => void first?.cutOff(), error: () => {} };
  const mailbox = await startMailbox({ port: 0, dir, log });
  const { id, messageId } = await confirm();
  first = notifications.startSender(mailbox.port);
  while (!notifications.senderLog.some((line) => line.includes(id) && line.includes("left to be claimed again"))) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect((await get(id)).notification).toMatchObject({ state: QUEUED, attempts: 1 });
  expect(await readdir(dir)).toHaveLength(3);

  // As long as the claim may be worked on, nobody else sends it.
  first = undefined;
  notifications.startSender(mailbox.port);
  const other = await confirm();
  await until(other.id, ({ state }) => state === SENT);
  expect((await get(id)).notification).toMatchObject({ state: QUEUED, attempts: 1 });
  await notifications.db.query("update notifications set lease_until = now() where id = $1", [id]);
  expect(await until(id, ({ state }) => state === SENT)).toMatchObject({ attempts: 2, messageId });
  expect((await readdir(dir)).filter((name) => name.includes(messageId))).toHaveLength(3);
  await mailbox.close();
  await removeFolder(dir);
});

test("who lost a claim has no say in how it failed", async () => {
  server.behave((moment) => (moment === "end of DATA" && server.taken.length === 1 ? "silence" : undefined));
  const { id } = await confirm();
  notifications.startSender(server.port, { extendMs: 60_000, tryMs: 500 });
  await server.reached("end of DATA");
  await notifications.db.query("update notifications set lease_until = now() where id = $1", [id]);
  notifications.startSender(server.port);
  const sent = await until(id, ({ state }) => state === SENT);
  expect(sent.attempts).toBe(2);
  while (!notifications.senderLog.some((line) => line.includes(id) && line.includes("trying again later"))) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect((await get(id)).notification).toEqual(sent);
});

test("a mail that takes longer than a claim is kept by whoever works on it", async () => {
  server.behave((moment) => (moment === "end of DATA" ? "silence" : undefined));
  const { id } = await confirm();
  for (let count = 0; count < 2; count += 1) notifications.startSender(server.port, { leaseMs: 400, extendMs: 50 });
  await server.reached("end of DATA");
  for (;;) {
    const [row] = await notifications.db.query<{ longer: boolean }>(
      "select lease_until > create_time + interval '1.5 s' as longer from notifications where id = $1",
      [id],
    );
    if (row?.longer === true) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect((await get(id)).notification).toMatchObject({ state: QUEUED, attempts: 1 });
  expect(server.taken).toHaveLength(1);
});

test("asking to try again a mail that is being sent sends it no second time", async () => {
  const { id } = await confirm();
  server.behave((moment) => (moment === "end of DATA" ? "silence" : undefined));
  notifications.startSender(server.port);
  await server.reached("end of DATA");
  expect(await retry(id)).toMatchObject({ ok: true });
  notifications.startSender(server.port);
  const other = await confirm();
  await server.reached("end of DATA", 2);
  expect(server.taken.map(({ messageId }) => messageId)).toEqual([`${id}@shop.test`, other.messageId]);
});
