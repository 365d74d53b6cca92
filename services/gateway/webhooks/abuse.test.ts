import { afterEach, describe, expect, test } from "vitest";
import { HandleWebhookResponse } from "#gen/shop/payments/v1/payment_service.ts";
import { createCleanup, eventually } from "../testing/setup.ts";
import { type HandleEvent, head, post, rawConnection, startWebhookShop } from "../testing/webhooks.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

/** Events that wait until they are let go. */
function held(): { readonly handle: HandleEvent; letGo(): void } {
  const waiting: (() => void)[] = [];
  let open = false;
  const handle: HandleEvent = async () => {
    if (!open) await new Promise<void>((resolve) => waiting.push(resolve));
    return HandleWebhookResponse.fromPartial({ eventId: "evt_1", first: true });
  };
  return {
    handle,
    letGo() {
      open = true;
      for (const go of waiting) go();
    },
  };
}

describe("who is slow", () => {
  test("with the head is told, and cut off", async () => {
    const { gateway } = await startWebhookShop(cleanup, { limits: { http1HeadMs: 50 } });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write("POST /webhooks/simulator HTTP/1.1\r\nhost: s");
    expect(await ended).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("with the head of a later request is told, and cut off", async () => {
    const { gateway } = await startWebhookShop(cleanup, { limits: { http1IdleMs: 300 } });
    const { socket, text, ended } = rawConnection(cleanup, gateway);
    socket.write(`${head("content-length: 2")}{}`);
    await eventually(text).toMatch(/^HTTP\/1\.1 200 /);
    socket.write("POST /webhooks");
    expect(await ended).toMatch(/HTTP\/1\.1 408 [\s\S]*$/);
  });

  test("with the body is told, and cut off; not one byte of it reaches payments", async () => {
    const { gateway, events } = await startWebhookShop(cleanup, { limits: { http1BodyMs: 50, http1LingerMs: 50 } });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write(`${head("content-length: 10")}{`);
    expect(await ended).toMatch(/^HTTP\/1\.1 408 /);
    expect(events).toEqual([]);
  });

  test("to send another request is let go without a word", async () => {
    const { gateway } = await startWebhookShop(cleanup, { limits: { http1IdleMs: 50 } });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write(`${head("content-length: 2")}{}`);
    const answer = await ended;
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("to read the answer to a wrong request does not keep the connection", async () => {
    const { gateway } = await startWebhookShop(cleanup, { limits: { http1LingerMs: 50 } });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write(head("content-length: 70000"));
    // Nothing more is sent, and nothing is ended by the sender.
    expect(await ended).toMatch(/^HTTP\/1\.1 413 /);
  });
});

describe("who wants much", () => {
  test("of one address waits, while others are served", async () => {
    const { handle, letGo } = held();
    const { gateway, events } = await startWebhookShop(cleanup, { handle, limits: { callsPerAddress: 2 } });
    const first = [post(gateway), post(gateway)];
    await eventually(() => events.length).toBe(2);
    const third = await post(gateway);
    expect([third.status, third.headers.get("retry-after")]).toEqual([429, "1"]);
    const other = rawConnection(cleanup, gateway, "127.0.0.2");
    other.socket.write(`${head("content-length: 2")}{}`);
    await eventually(() => events.length).toBe(3);
    letGo();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test("comes again when all together want too much", async () => {
    const { handle, letGo } = held();
    const { gateway, events } = await startWebhookShop(cleanup, { handle, limits: { maxWebhooks: 1 } });
    const first = post(gateway);
    await eventually(() => events.length).toBe(1);
    const second = await post(gateway);
    expect([second.status, second.headers.get("retry-after")]).toEqual([503, "1"]);
    letGo();
    expect((await first).status).toBe(200);
    expect((await post(gateway)).status).toBe(200);
  });

  test("gets so many connections, and others still get theirs", async () => {
    const { gateway } = await startWebhookShop(cleanup, { limits: { http1PerAddress: 1, http1LingerMs: 50 } });
    const first = rawConnection(cleanup, gateway);
    first.socket.write("P");
    first.socket.write("OST");
    const second = rawConnection(cleanup, gateway);
    await eventually(() => first.socket.bytesWritten).toBe(4);
    second.socket.write(`${head("content-length: 2")}{}`);
    expect(await second.ended).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n/);
    const other = rawConnection(cleanup, gateway, "127.0.0.2");
    other.socket.write(`${head("content-length: 2")}{}`);
    await eventually(other.text).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("gets so many requests on a connection", async () => {
    const { gateway } = await startWebhookShop(cleanup, { limits: { http1RequestsPerConnection: 2 } });
    const { socket, text, ended } = rawConnection(cleanup, gateway);
    socket.write(`${head("content-length: 2")}{}`);
    await eventually(text).toMatch(/^HTTP\/1\.1 200 /);
    socket.write(`${head("content-length: 2")}{}`);
    expect((await ended).match(/HTTP\/1\.1 200 /g)).toHaveLength(2);
  });

  test("with a second request before the answer to the first is cut off", async () => {
    const { handle } = held();
    const { gateway } = await startWebhookShop(cleanup, { handle });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write(`${head("content-length: 2")}{}${head("content-length: 2")}{}`);
    expect(await ended).toBe("");
  });
});

test("a sender who leaves does not stop what it began", async () => {
  const { handle, letGo } = held();
  const { gateway, events, calls } = await startWebhookShop(cleanup, { handle });
  const { socket, ended } = rawConnection(cleanup, gateway);
  socket.write(`${head("content-length: 2")}{}`);
  await eventually(() => events.length).toBe(1);
  socket.destroy();
  await ended;
  letGo();
  await eventually(() => gateway.lines.filter(({ message }) => message === "webhook")).toMatchObject([{ status: 200 }]);
  expect(calls[0]?.signal.aborted).toBe(false);
});

describe("at shutdown", () => {
  test("what is under way is finished, and who has nothing under way goes", async () => {
    const { handle, letGo } = held();
    const { gateway, events } = await startWebhookShop(cleanup, { handle, limits: { shutdownMs: 10_000 } });
    const idle = rawConnection(cleanup, gateway);
    idle.socket.write("POST /webhooks");
    const busy = rawConnection(cleanup, gateway);
    busy.socket.write(`${head("content-length: 2")}{}`);
    await eventually(() => events.length).toBe(1);
    const closed = gateway.close();
    expect(await idle.ended).toBe("");
    letGo();
    const answer = await busy.ended;
    expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*connection: close\r\n/i);
    await closed;
  });

  test("what does not finish is told to come again", async () => {
    const { handle } = held();
    const { gateway, events } = await startWebhookShop(cleanup, { handle, limits: { shutdownMs: 500 } });
    const busy = rawConnection(cleanup, gateway);
    busy.socket.write(`${head("content-length: 2")}{}`);
    await eventually(() => events.length).toBe(1);
    const closed = gateway.close();
    expect(await busy.ended).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 5\r\n/);
    await closed;
  });
});
