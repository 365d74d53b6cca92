import { request as httpRequest } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { failures, meshFailure } from "#mesh/contract/errors.ts";
import { createCleanup, eventually } from "../testing/setup.ts";
import { head, post, rawConnection, startWebhookShop } from "../testing/webhooks.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

const fail = failures(PaymentService);

describe("a webhook", () => {
  test("reaches payments byte for byte, with its signature and nothing else of the request", async () => {
    const { gateway, events, calls } = await startWebhookShop(cleanup);
    const body = Buffer.from([0, 255, 13, 10, 0xc3, 0x28, ...Buffer.from('{"id":"evt_1"}')]);
    const headers = {
      "Stripe-Signature": "t=1,v1=abc",
      "simulator-signature": "another",
      authorization: "Bearer of-somebody-else",
      traceparent: "00-11111111111111111111111111111111-2222222222222222-01",
      "shopmesh-caller": "operator",
    };
    const response = await post(gateway, { path: "/webhooks/stripe?x=1", headers, body });
    expect([response.status, await response.json()]).toEqual([200, { event_id: "evt_1", first: true }]);
    expect(events).toEqual([{ provider: "stripe", signature: "t=1,v1=abc", body: expect.anything() }]);
    expect(Buffer.from(events[0]?.body ?? [])).toEqual(body);
    expect(calls[0]).toMatchObject({ caller: "gateway", user: undefined });
    expect(calls[0]?.trace.traceId).not.toMatch(/^1+$/);
  });

  test("may come in pieces of one byte, and be followed by others on its connection", async () => {
    const { gateway, events } = await startWebhookShop(cleanup);
    const { socket, text } = rawConnection(cleanup, gateway);
    for (let count = 1; count <= 3; count += 1) {
      for (const byte of `${head("content-length: 2")}{}`) {
        socket.write(byte);
        await turn();
      }
      await eventually(() => text().match(/HTTP\/1\.1 200 OK/g)?.length ?? 0).toBe(count);
    }
    expect(events).toHaveLength(3);
  });

  test("of 64 KiB is taken, and its sender may ask before it sends", async () => {
    const { gateway, events } = await startWebhookShop(cleanup);
    const sent = httpRequest({
      port: gateway.port,
      method: "POST",
      path: "/webhooks/simulator",
      headers: { "simulator-signature": "s", "content-length": 65_536, expect: "100-continue" },
    });
    sent.once("continue", () => sent.end(Buffer.alloc(65_536, 7)));
    sent.flushHeaders();
    const status = await new Promise((resolve, reject) => {
      sent.once("response", (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.once("error", reject);
    });
    expect(status).toBe(200);
    expect(events[0]?.body).toHaveLength(65_536);
  });

  test("leaves one line in the log, without body or signature", async () => {
    const { gateway } = await startWebhookShop(cleanup);
    await post(gateway, { headers: { "simulator-signature": "t=1,v1=private" }, body: '{"card":"private"}' });
    const lines = gateway.lines.filter(({ message }) => message === "webhook");
    expect(lines).toEqual([
      {
        message: "webhook",
        provider: "simulator",
        peer: "127.0.0.1",
        requestBytes: 18,
        traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
        eventId: "evt_1",
        status: 200,
        reason: undefined,
        durationMs: expect.any(Number),
      },
    ]);
    expect(JSON.stringify(gateway.lines)).not.toContain("private");
  });
});

describe("what payments says is told in the words of HTTP, and only what was processed is 200", () => {
  test.each([
    ["a wrong signature", () => fail("SIGNATURE_INVALID", "x"), 401, null],
    ["a gateway that the shop does not have", () => fail("PROVIDER_UNKNOWN", "x"), 404, null],
    ["an outcome that nobody knows", () => fail("OUTCOME_UNKNOWN", "x"), 503, "5"],
    ["too much to do", () => meshFailure("OVERLOADED", "x", { retryDelayMs: 2_500 }), 503, "3"],
    ["a defect", () => new Error("x"), 503, "5"],
  ])("%s", async (_, failure, status, retryAfter) => {
    const handle = async () => {
      throw failure();
    };
    const { gateway } = await startWebhookShop(cleanup, { handle });
    const response = await post(gateway);
    expect([response.status, response.headers.get("retry-after")]).toEqual([status, retryAfter]);
  });

  test("no answer in time", async () => {
    const handle = () => new Promise<never>(() => {});
    const { gateway } = await startWebhookShop(cleanup, { handle, limits: { webhookCallMs: 50 } });
    const response = await post(gateway);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
  });

  test("nobody there", async () => {
    const { gateway, mesh } = await startWebhookShop(cleanup);
    await mesh.close();
    const response = await post(gateway);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
  });
});

describe("requests that are wrong are refused before anything is read of their body", () => {
  test.each([
    ["/webhooks/nobody", 404],
    ["/webhooks", 404],
    ["/webhooks/", 404],
    ["/webhooks/stripe/x", 404],
    ["/webhooks/../webhooks/constructor", 404],
    ["/webhooksx", 400],
    ["/", 400],
  ])("%s is %i", async (path, status) => {
    const { gateway, events } = await startWebhookShop(cleanup, { limits: { http1LingerMs: 20 } });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write(head("content-length: 2").replace("/webhooks/simulator", path));
    const answer = await ended;
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    if (status === 400) expect(answer).toContain("grpcurl -plaintext");
    expect(events).toEqual([]);
  });

  test.each([
    ["another method", head().replace("POST", "GET"), 405, /\r\nallow: POST\r\n/i],
    ["no length", head(), 411, /Content-Length/],
    ["chunks", `${head("transfer-encoding: chunked")}2\r\n{}\r\n0\r\n\r\n`, 411, /Content-Length/],
    ["more than 64 KiB", head("content-length: 65537"), 413, /65536/],
    ["no body", head("content-length: 0"), 400, /empty/],
    ["no signature", head("content-length: 2").replace("simulator-signature: s\r\n", ""), 400, /exactly one/i],
    ["two signatures", head("content-length: 2", "simulator-signature: t"), 400, /exactly one/i],
    [
      "a signature without end",
      head("content-length: 2", "x: y").replace("signature: s", `signature: ${"s".repeat(5_000)}`),
      400,
      /one/,
    ],
    ["a head without end", head(`x: ${"y".repeat(20_000)}`), 431, /too large/],
    ["no host", head("content-length: 2").replace("host: shop\r\n", ""), 400, /./],
    ["a length and chunks", `${head("content-length: 5", "transfer-encoding: chunked")}0\r\n\r\n`, 400, /./],
    ["two lengths", `${head("content-length: 2", "content-length: 3")}{}`, 400, /./],
    ["another encoding of transfer", `${head("transfer-encoding: xchunked")}{}`, 400, /./],
    ["a line that folds", head("content-length: 2", "x: y", " z: w"), 400, /./],
    ["noise", "POST \x00\x01 HTTP/9\r\n\r\n", 400, /./],
  ])("%s", async (_, request, status, telling) => {
    const { gateway, events } = await startWebhookShop(cleanup, { limits: { http1LingerMs: 20 } });
    const { socket, ended } = rawConnection(cleanup, gateway);
    socket.write(request, "latin1");
    const answer = await ended;
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(telling);
    expect(events).toEqual([]);
  });

  test("and a sender who sends much all the same hears why", async () => {
    const { gateway } = await startWebhookShop(cleanup);
    const response = await post(gateway, { body: Buffer.alloc(2_000_000) });
    expect(response.status).toBe(413);
  });
});
