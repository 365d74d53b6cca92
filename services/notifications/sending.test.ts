import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Notification_State } from "#gen/shop/notifications/v1/notification.ts";
import { MAX_CONNECTIONS } from "./mail-server.ts";
import {
  askersOf,
  confirmation,
  recipient,
  startTestNotifications,
  type TestNotifications,
} from "./testing/notifications.ts";
import { type MisbehavingServer, startMisbehavingServer } from "./testing/smtp-server.ts";

const { SENT, QUEUED, FAILED } = Notification_State;

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

const { confirm, get, retry, until } = askersOf(() => notifications);

/** The backoff, over. */
const dueNow = () =>
  notifications.db.query("update notifications set next_attempt_time = now() where state = 'QUEUED'");
const idsTaken = () => server.taken.map(({ messageId }) => messageId);

describe("a mail", () => {
  test("is sent soon, once, to its recipient, under the Message-ID that was told", async () => {
    notifications.startSender(server.port);
    const { id, messageId, state } = await confirm();
    expect(state).toBe(QUEUED);
    const sent = await until(id, (one) => one.state === SENT);
    expect(sent).toMatchObject({ attempts: 1, lastError: "", nextAttemptTime: undefined, messageId });
    expect(sent.sendTime).toBeInstanceOf(Date);
    expect(server.taken).toMatchObject([{ to: "ada@example.org", messageId }]);
  });

  test("that was written down before the sender started is sent then", async () => {
    const { id } = await confirm();
    notifications.startSender(server.port);
    await until(id, (one) => one.state === SENT);
    expect(server.taken).toHaveLength(1);
  });

  test("is the same to the last byte when it is sent again", async () => {
    notifications.startSender(server.port);
    server.behave((moment) => (moment === "end of DATA" && server.taken.length < 2 ? "451 4.3.0 later" : undefined));
    const { id } = await confirm();
    await until(id, ({ attempts, nextAttemptTime }) => attempts === 1 && nextAttemptTime !== undefined);
    await until(id, ({ lastError }) => lastError !== "");
    await dueNow();
    await until(id, (one) => one.state === SENT);
    expect(server.taken).toHaveLength(2);
    expect(server.taken[1]).toEqual(server.taken[0]);
  });
});

describe("an answer about the mail", () => {
  test.each(["RCPT TO", "DATA", "end of DATA"] as const)("5yz at %s gives it up at once", async (at) => {
    notifications.startSender(server.port);
    server.behave((moment) => (moment === at ? "550 5.1.1 <ada@example.org> knows nobody here" : undefined));
    const { id } = await confirm();
    const failed = await until(id, (one) => one.state === FAILED);
    const command = at === "end of DATA" ? "DATA" : at;
    expect(failed).toMatchObject({
      attempts: 1,
      lastError: `${command}: answered 550 5.1.1`,
      nextAttemptTime: undefined,
    });
  });

  test.each(["RCPT TO", "DATA", "end of DATA"] as const)("4yz at %s has it tried again, later", async (at) => {
    notifications.startSender(server.port);
    server.behave((moment) => (moment === at ? "450 4.2.1 grey list" : undefined));
    const { id } = await confirm();
    const deferred = await until(id, ({ lastError }) => lastError !== "");
    expect(deferred.state).toBe(QUEUED);
    // Five seconds, a tenth less by the chance that this test draws.
    const waitMs = (deferred.nextAttemptTime?.getTime() ?? 0) - (deferred.createTime?.getTime() ?? 0);
    expect(waitMs).toBeGreaterThanOrEqual(4_500);
    server.behave(() => undefined);
    await dueNow();
    expect(await until(id, (one) => one.state === SENT)).toMatchObject({ attempts: 2, lastError: "" });
  });

  test("keeps no other mail from being sent", async () => {
    server.behave((moment, { to }) => (moment === "RCPT TO" && to.startsWith("gone") ? "550 5.1.1 no" : undefined));
    notifications.startSender(server.port);
    const gone = await confirm(confirmation({ recipient: recipient("gone@example.org") }));
    const there = await confirm();
    await until(gone.id, (one) => one.state === FAILED);
    await until(there.id, (one) => one.state === SENT);
  });
});

describe("a server that lets nobody in", () => {
  test.each([
    ["greeting", "554 5.3.2 no service", "connection: answered 554 5.3.2"],
    ["MAIL FROM", "550 5.7.1 who are you", "MAIL FROM: answered 550 5.7.1"],
    ["MAIL FROM", "530 5.7.0 authenticate", "MAIL FROM: answered 530 5.7.0"],
    ["end of DATA", "421 4.3.2 going down", "DATA: answered 421 4.3.2"],
    ["inside DATA", "hang up", "connection: ECONNECTION"],
    ["end of DATA", "hang up", "connection: ECONNECTION"],
  ] as const)("at %s by %j costs no mail: it is sent when that is mended", async (at, say, error) => {
    server.behave((moment) => (moment === at ? say : undefined));
    notifications.startSender(server.port);
    const { id, messageId } = await confirm();
    const waiting = await until(id, ({ lastError }) => lastError !== "");
    expect(waiting.state).toBe(QUEUED);
    expect(waiting.lastError).toBe(error);
    server.behave(() => undefined);
    await dueNow();
    await until(id, (one) => one.state === SENT);
    expect(new Set(idsTaken())).toEqual(new Set([messageId]));
  });

  test("is not asked for all that wait, one by one", async () => {
    const many = await Promise.all(Array.from({ length: 12 }, () => confirm()));
    server.behave((moment) => (moment === "greeting" ? "hang up" : undefined));
    notifications.startSender(server.port, { pause: { firstMs: 30_000, maxMs: 30_000 } });
    await server.reached("greeting");
    const tried = async () =>
      (await Promise.all(many.map(({ id }) => get(id)))).filter((one) => one.notification.attempts > 0);
    await until((await tried())[0]?.notification.id ?? "", ({ lastError }) => lastError !== "");
    expect((await tried()).length).toBeLessThanOrEqual(MAX_CONNECTIONS);
  });

  test("has all that wait within a moment once it answers", async () => {
    server.behave((moment) => (moment === "greeting" ? "hang up" : undefined));
    const many = await Promise.all(Array.from({ length: 12 }, () => confirm()));
    notifications.startSender(server.port);
    await server.reached("greeting", 3);
    server.behave(() => undefined);
    // Those that were tried while nobody answered wait five seconds; this test does not.
    while (new Set(idsTaken()).size < many.length) {
      await dueNow();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(new Set(idsTaken())).toEqual(new Set(many.map(({ messageId }) => messageId)));
  });
});

describe("a server that is silent", () => {
  test.each(["greeting", "EHLO", "RCPT TO", "DATA", "end of DATA"] as const)(
    "from %s on is given up, and the mail sent again later",
    async (at) => {
      server.behave((moment) => (moment === at ? "silence" : undefined));
      notifications.startSender(server.port, { tryMs: 300 });
      const { id, messageId } = await confirm();
      expect(await until(id, ({ lastError }) => lastError !== "")).toMatchObject({
        state: QUEUED,
        lastError: "connection: EABORT",
      });
      server.behave(() => undefined);
      await dueNow();
      await until(id, (one) => one.state === SENT);
      expect(new Set(idsTaken())).toEqual(new Set([messageId]));
    },
  );

  test("holds no more connections than there may be, and no claim longer than the process lives", async () => {
    server.behave((moment) => (moment === "end of DATA" ? "silence" : undefined));
    await Promise.all(Array.from({ length: 2 * MAX_CONNECTIONS }, () => confirm()));
    const sender = notifications.startSender(server.port);
    await server.reached("end of DATA", MAX_CONNECTIONS);
    expect(server.mostConnections()).toBe(MAX_CONNECTIONS);
    await sender.close();
    expect(server.taken).toHaveLength(MAX_CONNECTIONS);
    const [row] = await notifications.db.query<{ held: bigint; queued: bigint }>(
      "select count(lease_until) as held, count(*) filter (where state = 'QUEUED') as queued from notifications",
    );
    expect(row).toEqual({ held: 0n, queued: BigInt(2 * MAX_CONNECTIONS) });
  });
});

describe("a mail that cannot be sent", () => {
  test("is given up after its time, with a last try at its end", async () => {
    server.behave((moment) => (moment === "RCPT TO" ? "450 4.2.1 grey list" : undefined));
    notifications.startSender(server.port);
    const { id } = await confirm();
    await until(id, ({ lastError }) => lastError !== "");
    await notifications.db.query("update notifications set give_up_time = now(), next_attempt_time = now()");
    expect(await until(id, (one) => one.state === FAILED)).toMatchObject({
      attempts: 2,
      lastError: "RCPT TO: answered 450 4.2.1",
    });
  });

  test("is sent when somebody has it tried again, and then no more", async () => {
    server.behave((moment) => (moment === "RCPT TO" ? "550 5.1.1 no" : undefined));
    notifications.startSender(server.port);
    const { id } = await confirm();
    await until(id, (one) => one.state === FAILED);
    server.behave(() => undefined);
    expect(await retry(id)).toMatchObject({ ok: true, value: { notification: { id } } });
    await until(id, (one) => one.state === SENT);
    const error = { code: "FAILED_PRECONDITION", reason: "STATE_CONFLICT", metadata: { state: "SENT" } };
    expect(await retry(id)).toMatchObject({ ok: false, error });
    expect(server.taken).toHaveLength(1);
  });
});

test("nobody's address, name or order of goods stands in a log", async () => {
  server.behave((moment, { to }) =>
    moment === "RCPT TO" && to.startsWith("bad") ? `550 5.1.1 <${to}> no` : undefined,
  );
  notifications.startSender(server.port);
  const good = await confirm();
  const bad = await confirm(confirmation({ recipient: recipient("bad@example.org") }));
  await until(good.id, (one) => one.state === SENT);
  await until(bad.id, (one) => one.state === FAILED);
  const text = notifications.senderLog.join("") + JSON.stringify(notifications.mesh.logs);
  expect(text).toContain(good.id);
  for (const word of ["example.org", "Jürgen", "Müßig", "Hauptstra", "Brushless"]) expect(text).not.toContain(word);
});
