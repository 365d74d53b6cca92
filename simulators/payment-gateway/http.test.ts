import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiKey, idOf, payment, startTestGateway, type TestGateway, temporaryFolder, toAnswer } from "./testing.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let gateway: TestGateway;

beforeAll(async () => {
  folder = await temporaryFolder();
  gateway = await startTestGateway({ dataDir: folder.path });
});
afterAll(async () => {
  await gateway.close();
  await folder.remove();
});

const authorization = `Bearer ${apiKey}`;
const jsonType = { "content-type": "application/json" };

/** Posts to the authorizations, with exactly these headers and bytes. */
async function postRaw(body: string | Uint8Array, headers: Readonly<Record<string, string>>) {
  const init = { method: "POST", headers, body };
  return toAnswer(await fetch(`${gateway.url}/v1/authorizations`, init));
}

describe("the API key", () => {
  it.each([undefined, "Bearer wrong", `Basic ${apiKey}`, apiKey, `Bearer ${apiKey}x`])("is not %s", async (wrong) => {
    const headers = { ...jsonType, "idempotency-key": "k", ...(wrong !== undefined && { authorization: wrong }) };
    for (const answer of [
      await postRaw(JSON.stringify(payment), headers),
      await toAnswer(await fetch(`${gateway.url}/v1/transactions`, { headers })),
      await toAnswer(await fetch(`${gateway.url}/nowhere`, { headers })),
    ]) {
      expect(answer.status).toBe(401);
      expect(answer.body).toMatchObject({ error: { code: "unauthorized" } });
    }
    expect((await gateway.get("/v1/operations?idempotency_key=k")).status).toBe(404);
  });

  it("is not needed to ask for the health", async () => {
    const { status, body } = await toAnswer(await fetch(`${gateway.url}/healthz`));
    expect([status, body]).toEqual([200, { status: "ok" }]);
  });
});

describe("a malformed request", () => {
  it("needs an idempotency key on every POST", async () => {
    const id = idOf(await gateway.authorize());
    for (const path of [
      "authorizations",
      `authorizations/${id}/capture`,
      `authorizations/${id}/void`,
      "captures/x/refunds",
    ]) {
      const init = { method: "POST", headers: { ...jsonType, authorization }, body: JSON.stringify(payment) };
      const { status, body } = await toAnswer(await fetch(`${gateway.url}/v1/${path}`, init));
      expect(status).toBe(400);
      expect(body).toMatchObject({ error: { code: "idempotency_key_missing" } });
    }
  });

  it.each([
    ["amount", undefined],
    ["amount", 100],
    ["amount", "0"],
    ["amount", "-5"],
    ["amount", "1.00"],
    ["amount", "01"],
    ["amount", "9223372036854775808"],
    ["currency", "eur"],
    ["currency", undefined],
    ["payment_token", ""],
    ["payment_token", null],
    ["reference", "x".repeat(256)],
    ["reference", "a\nb"],
    ["reference", undefined],
    ["surprise", "field"],
  ])("with %s = %j is refused, and leaves the key free", async (field, value) => {
    const { status, body } = await gateway.authorize({ [field]: value }, "malformed");
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "invalid_request", message: expect.stringContaining(field) } });
    expect((await gateway.get("/v1/operations?idempotency_key=malformed")).status).toBe(404);
  });

  it.each(["{", "[]", "null", '"text"', "\u0000"])("with the body %j is not JSON of an object", async (text) => {
    const { status, body } = await postRaw(text, { ...jsonType, authorization, "idempotency-key": "k" });
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "invalid_json" } });
  });

  it("in another encoding than UTF-8 is refused", async () => {
    const bytes = Buffer.from(JSON.stringify({ ...payment, reference: "ü" }), "latin1");
    const { body } = await postRaw(bytes, { ...jsonType, authorization, "idempotency-key": "k" });
    expect(body).toMatchObject({ error: { code: "invalid_json" } });
  });

  it("of another content type is refused", async () => {
    const { status } = await postRaw(JSON.stringify(payment), {
      "content-type": "text/plain",
      authorization,
      "idempotency-key": "k",
    });
    expect(status).toBe(415);
  });

  it("to an unknown path, or with another method, is refused", async () => {
    expect((await gateway.get("/v1/nothing")).body).toMatchObject({ error: { code: "path_not_found" } });
    const wrong = await gateway.get("/v1/authorizations");
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get("allow")).toBe("POST");
  });
});

describe("limits", () => {
  it("a body over 64 KiB is refused, whether its length was told or not, and one below is read", async () => {
    const headers = { ...jsonType, authorization, "idempotency-key": "large" };
    const text = (length: number): string => JSON.stringify({ ...payment, reference: "x".repeat(length) });
    expect((await postRaw(text(60_000), headers)).body).toMatchObject({ error: { code: "invalid_request" } });
    const told = await postRaw(text(70_000), headers);
    expect([told.status, told.body]).toMatchObject([413, { error: { code: "body_too_large" } }]);
    const chunked = await speak(
      gateway.port,
      `POST /v1/authorizations HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\n` +
        `idempotency-key: large\r\ntransfer-encoding: chunked\r\n\r\n11170\r\n${text(70_000).slice(0, 0x11170)}\r\n0\r\n\r\n`,
    );
    expect(chunked).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("headers that are too large, and what is not HTTP, are answered as errors and cut off", async () => {
    expect(
      await speak(gateway.port, `GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ${"x".repeat(20_000)}\r\n\r\n`),
    ).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"headers_too_large"/);
    expect(await speak(gateway.port, "HELLO\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"bad_request"/);
  });

  it.each(["//", "/%zz", "/?%", "*", "/v1/authorizations/%00"])("the odd path %j harms nothing", async (path) => {
    expect(
      await speak(
        gateway.port,
        `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\nconnection: close\r\n\r\n`,
      ),
    ).toMatch(/^HTTP\/1\.1 404 /);
  });

  it("a caller who leaves in the middle of a body harms nothing", async () => {
    const socket = connect(gateway.port, "127.0.0.1");
    const head = `POST /v1/authorizations HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-length: 100\r\n\r\n{`;
    await new Promise((resolve) => socket.write(head, resolve));
    socket.destroy();
    expect((await gateway.get("/healthz")).status).toBe(200);
  });

  it("a request that does not arrive in time is cut off, in its headers or in its body", async () => {
    const other = await temporaryFolder();
    const hasty = await startTestGateway({ dataDir: other.path, requestTimeoutMs: 100 });
    const head = `POST /v1/authorizations HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n`;
    const answers = await Promise.all([
      speak(hasty.port, head),
      speak(hasty.port, `${head}idempotency-key: half\r\ncontent-length: 100\r\n\r\n{`),
    ]);
    await hasty.close();
    await other.remove();
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"request_timeout"/);
  });

  it("requests beyond the most that may be open are turned away, and do nothing", async () => {
    const other = await temporaryFolder();
    const small = await startTestGateway({ dataDir: other.path, maxOpenRequests: 1 });
    const waiting = small.authorize({ payment_token: "tok_slow" }, "waits");
    const refused = await turnedAway(() => small.authorize({}, "one-too-many"));
    expect(refused.body).toMatchObject({ error: { code: "overloaded" } });
    expect(refused.headers.get("retry-after")).toBe("1");
    await small.close();
    await waiting;
    await other.remove();
  });

  it("books that are full take nothing more, but still replay", async () => {
    const other = await temporaryFolder();
    const small = await startTestGateway({ dataDir: other.path, maxOperations: 2 });
    const first = await small.authorize({}, "first");
    await small.authorize({}, "second");
    const refused = await small.authorize({}, "third");
    const again = await small.authorize({}, "first");
    await small.close();
    await other.remove();
    expect([refused.status, refused.body]).toMatchObject([507, { error: { code: "capacity_reached" } }]);
    expect(again.body).toEqual(first.body);
  });
});

/** Sends bytes as they are and gives back all that comes until the other side hangs up. */
function speak(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.setEncoding("utf8");
    socket.on("data", (data) => {
      answer += data;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

/** Repeats a request until it is turned away: the one that fills the gateway may not have arrived yet. */
async function turnedAway<T extends { readonly status: number }>(send: () => Promise<T>): Promise<T> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const answer = await send();
    if (answer.status === 503) return answer;
  }
  throw new Error("never turned away");
}
