import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "#testing/folders.ts";
import { type Mailbox, type MailboxOptions, startMailbox } from "./mailbox.ts";

let dir: string;
let mailbox: Mailbox | undefined;
let logged: unknown[];
beforeEach(async () => {
  dir = await temporaryFolder();
  logged = [];
});
afterEach(async () => {
  await mailbox?.close();
  mailbox = undefined;
  await removeFolder(dir);
});

async function start(options: Partial<MailboxOptions> = {}): Promise<Mailbox> {
  const log = {
    info: (...line: unknown[]) => void logged.push(line),
    error: (...line: unknown[]) => void logged.push(line),
  };
  mailbox = await startMailbox({ port: 0, dir, log, ...options });
  return mailbox;
}

/** Hands a mail in as any program would. */
async function send(port: number, messageId: string, given: { text?: string; html?: string } = {}): Promise<void> {
  const transport = createTransport({ host: "127.0.0.1", port, ignoreTLS: true });
  await transport.sendMail({
    from: "shop@shop.test",
    to: "ada@example.org",
    subject: "Grüße",
    text: "Zwölf Boxkämpfer",
    html: "<p>Zwölf</p><script>alert(1)</script>",
    messageId: `<${messageId}>`,
    ...given,
  });
}

const ids = async () =>
  [...new Set((await readdir(dir)).map((name) => name.replace(/^.{25}(.*)\.(eml|txt|html)$/, "$1")))].toSorted();
const read = async (messageId: string, type: string) => {
  const name = (await readdir(dir)).find((one) => one.endsWith(`-${messageId}.${type}`)) ?? "";
  return readFile(join(dir, name), "utf8");
};

test("keeps a mail as it came, and what it says, before it answers", async () => {
  const { port } = await start();
  await send(port, "one@shop.test");
  expect(await readdir(dir)).toHaveLength(3);
  expect((await readdir(dir))[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-one@shop\.test\.eml$/);
  expect(await read("one@shop.test", "eml")).toContain("Subject: =?UTF-8?");
  expect(await read("one@shop.test", "txt")).toBe("Zwölf Boxkämpfer\n");
});

test("shows HTML that can fetch and run nothing", async () => {
  const { port } = await start();
  await send(port, "one@shop.test");
  const html = await read("one@shop.test", "html");
  expect(html).toMatch(
    /^<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'/,
  );
  expect(html).toContain("<p>Zwölf</p>");
});

test("keeps one mail of a Message-ID, the latest, also after a restart", async () => {
  const first = await start();
  await Promise.all([send(first.port, "one@shop.test"), send(first.port, "one@shop.test")]);
  await send(first.port, "two@shop.test");
  await first.close();
  const { port } = await start();
  await send(port, "one@shop.test", { text: "the latest" });
  expect(await ids()).toEqual(["one@shop.test", "two@shop.test"]);
  expect(await readdir(dir)).toHaveLength(6);
  expect(await read("one@shop.test", "txt")).toContain("the latest");
});

test("keeps the newest mails alone, also after a restart", async () => {
  const first = await start({ maxMails: 3 });
  for (const id of ["a@x", "b@x", "c@x", "d@x"]) await send(first.port, id);
  expect(await ids()).toEqual(["b@x", "c@x", "d@x"]);
  await first.close();
  const { port } = await start({ maxMails: 3 });
  await send(port, "e@x");
  expect(await ids()).toEqual(["c@x", "d@x", "e@x"]);
});

test("clears away what was being written when it was killed", async () => {
  await writeFile(join(dir, "2026-06-01T12-00-00.000Z-a@x.eml.1.part"), "half a m");
  await start();
  expect(await readdir(dir)).toEqual([]);
});

test.each(["../../outside@x", "/etc/passwd", "a\\b@x", `${"long".repeat(100)}@x`, "ä@x"])(
  "a Message-ID like %s names a file in the folder",
  async (id) => {
    const { port } = await start();
    await send(port, id);
    const names = await readdir(dir);
    expect(names).toHaveLength(3);
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9@._+-]{1,220}$/);
  },
);

test("two Message-IDs that look alike as names are two mails", async () => {
  const { port } = await start();
  await send(port, "a/b@x");
  await send(port, "a\\b@x");
  expect(await readdir(dir)).toHaveLength(6);
});

describe("what it does not take", () => {
  test("is a mail of more than 1 MiB", async () => {
    const { port } = await start();
    const large = send(port, "large@x", { text: "x".repeat(1_024 * 1_024) });
    await expect(large).rejects.toMatchObject({ responseCode: 552 });
    await send(port, "small@x");
    expect(await ids()).toEqual(["small@x"]);
  });

  test("is a mail whose end never came", async () => {
    const { port } = await start();
    const socket = connect(port, "127.0.0.1");
    const answers: string[] = [];
    socket.setEncoding("utf8").on("data", (text: string) => answers.push(text));
    const answered = async (code: string) => {
      while (!answers.join("").includes(code)) await once(socket, "data");
    };
    await answered("220");
    socket.write("EHLO x\r\nMAIL FROM:<a@b.cd>\r\nRCPT TO:<c@d.ef>\r\nDATA\r\n");
    await answered("354");
    socket.write("Message-ID: <half@x>\r\n\r\nHal");
    socket.destroy();
    await once(socket, "close");
    await send(port, "whole@x");
    expect(await ids()).toEqual(["whole@x"]);
  });
});

test("logs ids and sizes, no addresses and no words", async () => {
  const { port } = await start();
  await send(port, "one@shop.test");
  const text = JSON.stringify(logged);
  expect(text).toContain("one@shop.test");
  for (const word of ["ada@", "Zw", "Gr"]) expect(text).not.toContain(word);
});

test("closes though a client stays", async () => {
  const { port, close } = await start();
  const socket = connect(port, "127.0.0.1");
  await once(socket, "data");
  const ended = once(socket, "close");
  await close();
  socket.destroy();
  await ended;
});
