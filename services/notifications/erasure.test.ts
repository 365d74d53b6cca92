import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Notification_State } from "#gen/shop/notifications/v1/notification.ts";
import { newId } from "#mesh/ids.ts";
import type { Database } from "#mesh/postgres/index.ts";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { findTraces } from "#testing/traces.ts";
import { type Mailbox, startMailbox } from "../../simulators/mailbox/mailbox.ts";
import { insertNotification } from "./store.ts";
import {
  askersOf,
  confirmation,
  recipient,
  refundNotice,
  startTestNotifications,
  type TestNotifications,
} from "./testing/notifications.ts";
import { startMisbehavingServer } from "./testing/smtp-server.ts";

const { SENT, ERASED } = Notification_State;

const POLL = { timeout: 30_000 };

let dir: string;
let mailbox: Mailbox;
let notifications: TestNotifications;
beforeAll(async () => {
  dir = await temporaryFolder();
  mailbox = await startMailbox({ port: 0, dir, log: { info: () => {}, error: () => {} } });
  notifications = await startTestNotifications(dir);
});
afterAll(async () => {
  await notifications?.close();
  await mailbox?.close();
  await removeFolder(dir);
});
afterEach(() => notifications.clear());

const { call, client, confirm, erase, get, retry, until } = askersOf(() => notifications);

/** Somebody with words that nobody else has, and how they would stand in a table or a file. */
const somebody = () => {
  const word = newId("x").slice(2);
  const customerId = newId("usr");
  const to = () => ({ ...recipient(`${word}@example.org`), customerId });
  const request = () => {
    const plain = confirmation({ recipient: to() });
    return {
      ...plain,
      address: {
        recipient: `Name${word}`,
        lines: [`Street${word}`],
        city: "Berlin",
        postalCode: "10115",
        region: "",
        countryCode: "DE",
        phone: "",
      },
    };
  };
  return { customerId, to, request, words: [`${word}@example.org`, `Name${word}`, `Street${word}`] };
};
/** A gate that is shut. */
const deferred = () => {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
};
const filesOf = async (messageId: string) => (await readdir(dir)).filter((name) => name.includes(messageId));
const rowsAndFiles = (rows: number, files: number, left = { rows: 0, files: 0 }) => [
  { place: "notifications.notifications", erasedCount: BigInt(rows), leftCount: BigInt(left.rows) },
  { place: "notifications.mailbox", erasedCount: BigInt(files), leftCount: BigInt(left.files) },
];

test("an erasure takes out addresses and words of every mail, and its files, of that person alone", async () => {
  const [ada, eve] = [somebody(), somebody()];
  notifications.startSender(mailbox.port);
  const mails = [await confirm(ada.request()), await confirm(ada.request())];
  const other = await confirm(eve.request());
  for (const { id } of [...mails, other]) await until(id, ({ state }) => state === SENT);
  expect(await findTraces(notifications.db, ada.words)).not.toEqual([]);

  const requestId = newId("req");
  expect(await erase(ada.customerId, requestId)).toMatchObject(rowsAndFiles(2, 6));
  expect(await findTraces(notifications.db, ada.words)).toEqual([]);
  for (const { id, messageId } of mails) {
    const { notification, text, html } = await get(id);
    expect(notification).toMatchObject({
      state: ERASED,
      email: "",
      subject: "",
      messageId,
      sendTime: expect.any(Date),
    });
    expect([text, html]).toEqual(["", ""]);
    expect(await filesOf(messageId)).toEqual([]);
  }
  expect((await get(other.id)).notification.state).toBe(SENT);
  expect(await filesOf(other.messageId)).toHaveLength(3);
  for (const name of await readdir(dir)) {
    const content = await readFile(join(dir, name), "utf8");
    for (const word of ada.words) expect(content).not.toContain(word);
  }
  // Asked again it goes on, and finds nothing more.
  expect(await erase(ada.customerId, requestId)).toMatchObject(rowsAndFiles(2, 6));
  expect(await erase(ada.customerId)).toMatchObject(rowsAndFiles(0, 0));
});

test("what waits, or was given up, is never sent", async () => {
  const ada = somebody();
  const waiting = await confirm(ada.request());
  const failed = await confirm(ada.request());
  await notifications.db.query("update notifications set state = 'FAILED', next_attempt_time = null where id = $1", [
    failed.id,
  ]);
  expect(await erase(ada.customerId)).toMatchObject(rowsAndFiles(2, 0));
  for (const { id } of [waiting, failed]) {
    const error = { reason: "STATE_CONFLICT", metadata: { state: "ERASED" } };
    expect(await retry(id)).toMatchObject({ ok: false, error });
  }
  notifications.startSender(mailbox.port);
  const other = await confirm();
  await until(other.id, ({ state }) => state === SENT);
  expect(await filesOf(waiting.messageId)).toEqual([]);
});

test("what is asked for afterwards is written down without anything personal, and not sent", async () => {
  const ada = somebody();
  await confirm(ada.request());
  await erase(ada.customerId);
  const request = ada.request();
  const late = await confirm(request);
  expect(late).toMatchObject({ state: ERASED, email: "" });
  expect((await confirm(request)).id).toBe(late.id);
  const refund = refundNotice({ recipient: ada.to() });
  const { notification } = await client("orders").sendRefundNotice(refund, call("orders"));
  expect(notification?.state).toBe(ERASED);
  expect(await findTraces(notifications.db, ada.words)).toEqual([]);
});

test("mails that are asked for while their recipient is erased are erased as well, every one", async () => {
  for (let round = 0; round < 5; round += 1) {
    const ada = somebody();
    await confirm(ada.request());
    const asked = Array.from({ length: 8 }, () => confirm(ada.request()));
    await Promise.all([...asked, erase(ada.customerId), erase(ada.customerId)]);
    expect(await findTraces(notifications.db, ada.words)).toEqual([]);
    expect(await erase(ada.customerId)).toMatchObject(rowsAndFiles(0, 0));
  }
});

test("an erasure waits for a mail that is just being written down, and erases it as well", async () => {
  const ada = somebody();
  const { db } = notifications;
  const gate = deferred();
  const to = ada.to();
  const late: Database = {
    ...db,
    transaction: (work, options) =>
      db.transaction(async (tx, opened) => {
        const written = await work(tx, opened);
        await gate.opened;
        return written;
      }, options),
  };
  const id = newId("ntf");
  const writing = insertNotification(late, {
    id,
    method: "SendRefundNotice",
    requestId: newId("req"),
    requestHash: Buffer.from("digest"),
    kind: "REFUND",
    orderId: to.orderId,
    about: "cancel",
    customerId: ada.customerId,
    email: to.email,
    letter: Buffer.from("words"),
    messageId: `${id}@shop.test`,
    giveUpAfterMs: 1_000,
  });
  const erasing = erase(ada.customerId);
  const waiting = () => db.query("select 1 from pg_locks where locktype = 'advisory' and not granted");
  await expect.poll(waiting, POLL).toHaveLength(1);
  gate.open();
  expect(await writing).toMatchObject({ state: "QUEUED" });
  expect(await erasing).toMatchObject(rowsAndFiles(1, 0));
  expect(await findTraces(db, ada.words)).toEqual([]);
});

test("a mail that is being sent is left until it no longer is, and its file is found then", async () => {
  const ada = somebody();
  const server = await startMisbehavingServer();
  server.behave((moment) => (moment === "end of DATA" ? "silence" : undefined));
  notifications.startSender(server.port, { extendMs: 100 });
  const { id, messageId } = await confirm(ada.request());
  await server.reached("end of DATA");

  const requestId = newId("req");
  expect(await erase(ada.customerId, requestId)).toMatchObject(rowsAndFiles(1, 0, { rows: 1, files: 0 }));
  expect(await findTraces(notifications.db, ada.words)).toEqual([]);
  // As the mailbox would, at the very last moment.
  await writeFile(join(dir, `2026-06-01T12-00-00.000Z-${messageId}.eml`), ada.words.join(" "));
  // The sender sees that the mail is erased, and hangs up.
  while (server.openConnections() > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await expect.poll(() => erase(ada.customerId, requestId), POLL).toMatchObject(rowsAndFiles(1, 1));
  expect(await filesOf(messageId)).toEqual([]);
  expect((await get(id)).notification).toMatchObject({ state: ERASED, sendTime: undefined });
  await server.close();
});

test("a mail that the server takes while it is erased stays erased", async () => {
  const ada = somebody();
  const server = await startMisbehavingServer();
  let erased: Promise<unknown> = Promise.resolve();
  server.behave((moment) => {
    if (moment !== "RCPT TO") return undefined;
    erased = erase(ada.customerId);
    return undefined;
  });
  // Which would hang up if it looked.
  notifications.startSender(server.port, { extendMs: 60_000 });
  const { id } = await confirm(ada.request());
  await server.reached("end of DATA");
  await erased;
  await expect.poll(() => erase(ada.customerId), POLL).toMatchObject(rowsAndFiles(0, 0));
  expect((await get(id)).notification.state).toBe(ERASED);
  expect(await findTraces(notifications.db, ada.words)).toEqual([]);
  await server.close();
});

test("an export gives out every mail with its words, of that person alone", async () => {
  const [ada, eve] = [somebody(), somebody()];
  const asked = [await confirm(ada.request()), await confirm(ada.request())];
  await confirm(eve.request());
  await notifications.db.query("update notifications set state = 'FAILED', next_attempt_time = null where id = $1", [
    asked[0]?.id,
  ]);
  const records = [];
  const stream = client("customers").exportCustomerData({ customerId: ada.customerId }, call("customers"));
  for await (const { record } of stream) records.push(record);
  expect(records.map((record) => [record?.kind, record?.id])).toEqual(asked.map(({ id }) => ["notification", id]));
  expect(JSON.parse(records[0]?.json ?? "")).toMatchObject({ email: ada.words[0], state: "FAILED" });
  for (const word of ada.words.slice(1)) expect(records[1]?.json).toContain(word);
});
