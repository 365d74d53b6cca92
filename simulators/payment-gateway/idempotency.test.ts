import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failsBeforeEffect } from "./domain.ts";
import { idOf, startTestGateway, type TestAnswer, type TestGateway, temporaryFolder } from "./testing.ts";

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

async function movements(): Promise<number> {
  const { body } = await gateway.get("/v1/transactions?limit=500");
  return Number(body.next_after);
}

function lookUp(key: string): Promise<TestAnswer> {
  return gateway.get(`/v1/operations?idempotency_key=${encodeURIComponent(key)}`);
}

describe("an idempotency key", () => {
  it("replays the answer to the same request, whatever the order of its fields", async () => {
    const first = await gateway.authorize({}, "replayed");
    const { amount, currency, payment_token, reference } = {
      amount: "10000",
      currency: "EUR",
      payment_token: "tok_visa",
      reference: "ord_1",
    };
    const again = await gateway.post("/v1/authorizations", { reference, payment_token, currency, amount }, "replayed");
    expect(again.status).toBe(201);
    expect(again.body).toEqual(first.body);
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });

  it("replays a decline and a conflict, though they did nothing", async () => {
    const declined = await gateway.authorize({ payment_token: "tok_declined" }, "declined");
    const before = await movements();
    const again = await gateway.authorize({ payment_token: "tok_declined" }, "declined");
    expect([again.status, again.body]).toEqual([402, declined.body]);
    const id = idOf(await gateway.authorize());
    const tooMuch = await gateway.post(`/v1/authorizations/${id}/capture`, { amount: "10001" }, "too-much");
    const tooMuchAgain = await gateway.post(`/v1/authorizations/${id}/capture`, { amount: "10001" }, "too-much");
    expect([tooMuchAgain.status, tooMuchAgain.body]).toEqual([409, tooMuch.body]);
    expect(tooMuchAgain.headers.get("idempotent-replayed")).toBe("true");
    expect(await movements()).toBe(before + 1);
  });

  it("replays the answer of its time, not the state of now", async () => {
    const first = await gateway.authorize({}, "of-its-time");
    await gateway.post(`/v1/authorizations/${idOf(first)}/capture`, {}, "of-its-time-capture");
    expect((await gateway.authorize({}, "of-its-time")).body).toMatchObject({
      state: "authorized",
      captured_amount: "0",
    });
  });

  it("is refused with any other request, which does nothing", async () => {
    const id = idOf(await gateway.authorize({}, "reused"));
    const before = await movements();
    for (const other of [
      await gateway.authorize({ amount: "10001" }, "reused"),
      await gateway.authorize({ payment_token: "tok_slow" }, "reused"),
      await gateway.post(`/v1/authorizations/${id}/capture`, {}, "reused"),
      await gateway.post(`/v1/authorizations/${id}/void`, {}, "reused"),
    ]) {
      expect(other.status).toBe(409);
      expect(other.body).toMatchObject({ error: { code: "idempotency_key_reused" } });
    }
    expect(await movements()).toBe(before);
  });

  it("tells a capture of all from a capture of the same amount, and one authorization from another", async () => {
    const ids = [idOf(await gateway.authorize()), idOf(await gateway.authorize())];
    await gateway.post(`/v1/authorizations/${ids[0]}/capture`, {}, "capture-all");
    const named = await gateway.post(`/v1/authorizations/${ids[0]}/capture`, { amount: "10000" }, "capture-all");
    const other = await gateway.post(`/v1/authorizations/${ids[1]}/capture`, {}, "capture-all");
    expect([named.status, other.status]).toEqual([409, 409]);
  });

  it("has one effect and one answer when 50 copies come at once", async () => {
    const before = await movements();
    const copies = await Promise.all(Array.from({ length: 50 }, () => gateway.authorize({}, "fifty")));
    expect(new Set(copies.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(copies.map(idOf)).size).toBe(1);
    expect(copies.filter(({ headers }) => headers.get("idempotent-replayed") === null)).toHaveLength(1);
    expect(await movements()).toBe(before + 1);
  });

  it("can be asked what it did", async () => {
    const id = idOf(await gateway.authorize({}, "asked: a&="));
    const found = await lookUp("asked: a&=");
    expect(found.status).toBe(200);
    expect(found.body).toMatchObject({
      idempotency_key: "asked: a&=",
      operation: "authorize",
      status: 201,
      answer: { id },
    });
    await gateway.authorize({ payment_token: "tok_declined" }, "asked-declined");
    expect((await lookUp("asked-declined")).body).toMatchObject({
      status: 402,
      answer: { error: { code: "card_declined" } },
    });
  });

  it("that did nothing is not found", async () => {
    const { status, body } = await lookUp("never-seen");
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: "operation_not_found" } });
    expect((await gateway.get("/v1/operations")).status).toBe(400);
  });
});

describe("a slow card", () => {
  it("is charged at once, answered late, and replayed without delay", async () => {
    let answered = false;
    const late = gateway.authorize({ payment_token: "tok_slow" }, "slow").finally(() => {
      answered = true;
    });
    const found = await until(
      () => lookUp("slow"),
      ({ status }) => status === 200,
    );
    const retried = await gateway.authorize({ payment_token: "tok_slow" }, "slow");
    expect(retried.body).toEqual(found.body.answer);
    // The answer is due in a minute, and comes earlier only because the gateway closes.
    expect(answered).toBe(false);
    await gateway.close();
    expect((await late).body).toEqual(retried.body);
    gateway = await startTestGateway({ dataDir: folder.path });
  });

  it("is answered after the configured time, for its captures too", async () => {
    const other = await temporaryFolder();
    const slowMs = 40;
    const slow = await startTestGateway({ dataDir: other.path, slowMs });
    const started = performance.now();
    const id = idOf(await slow.authorize({ payment_token: "tok_slow" }));
    const authorized = performance.now();
    await slow.post(`/v1/authorizations/${id}/capture`, {}, "slow-capture");
    const captured = performance.now();
    await slow.close();
    await other.remove();
    // A timer may fire up to a millisecond early.
    expect(authorized - started).toBeGreaterThan(slowMs - 1);
    expect(captured - authorized).toBeGreaterThan(slowMs - 1);
  });
});

describe("an unreliable card", () => {
  const keyThat = (before: boolean, prefix: string): string => {
    for (let index = 0; ; index++) if (failsBeforeEffect(`${prefix}-${index}`) === before) return `${prefix}-${index}`;
  };

  it("fails before the effect for one half of the keys: the first attempt does nothing, the next succeeds", async () => {
    const key = keyThat(true, "before");
    const before = await movements();
    const failed = await gateway.authorize({ payment_token: "tok_unreliable" }, key);
    expect(failed.status).toBe(500);
    expect(failed.body).toMatchObject({ error: { code: "internal_error" } });
    expect((await lookUp(key)).status).toBe(404);
    expect(await movements()).toBe(before);
    const made = await gateway.authorize({ payment_token: "tok_unreliable" }, key);
    expect(made.status).toBe(201);
    expect(made.headers.get("idempotent-replayed")).toBeNull();
    expect((await gateway.authorize({ payment_token: "tok_unreliable" }, key)).body).toEqual(made.body);
    expect(await movements()).toBe(before + 1);
  });

  it("fails after the effect for the other half: the next attempt replays what was done", async () => {
    const key = keyThat(false, "after");
    const before = await movements();
    expect((await gateway.authorize({ payment_token: "tok_unreliable" }, key)).status).toBe(500);
    const found = await lookUp(key);
    expect(found.body).toMatchObject({ status: 201 });
    const made = await gateway.authorize({ payment_token: "tok_unreliable" }, key);
    expect([made.status, made.body]).toEqual([201, found.body.answer]);
    expect(made.headers.get("idempotent-replayed")).toBe("true");
    expect(await movements()).toBe(before + 1);
  });

  it("fails in captures, voids and refunds alike, and in the end each was done once", async () => {
    const stubborn = async (path: string, body: object, key: string): Promise<TestAnswer> => {
      const failed = await gateway.post(path, body, key);
      expect(failed.status).toBe(500);
      return gateway.post(path, body, key);
    };
    const authorize = { amount: "500", currency: "EUR", payment_token: "tok_unreliable", reference: "ord_u" };
    for (const before of [true, false]) {
      const key = (step: string) => keyThat(before, `${step}-${before}`);
      const id = idOf(await stubborn("/v1/authorizations", authorize, key("authorize")));
      const captureId = idOf(await stubborn(`/v1/authorizations/${id}/capture`, {}, key("capture")));
      await stubborn(`/v1/captures/${captureId}/refunds`, { amount: "200" }, key("refund"));
      const { body } = await gateway.get(`/v1/authorizations/${id}`);
      expect(body).toMatchObject({ captured_amount: "500", refunded_amount: "200" });
      const voided = idOf(await stubborn("/v1/authorizations", authorize, key("authorize-to-void")));
      expect((await stubborn(`/v1/authorizations/${voided}/void`, {}, key("void"))).body).toMatchObject({
        state: "voided",
      });
    }
  });
});

/** Asks again until the answer is as wanted; the request itself is what takes the time. */
async function until<T>(ask: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const value = await ask();
    if (wanted(value)) return value;
  }
  throw new Error("the answer never came");
}
