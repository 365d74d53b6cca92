import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import { idOf, startTestGateway, type TestGateway, temporaryFolder } from "./testing.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let gateway: TestGateway;
let clock: FakeClock;
let keys = 0;
const key = (): string => `key-${++keys}`;

beforeAll(async () => {
  folder = await temporaryFolder();
  clock = fakeClock(new Date("2026-06-01T12:00:00Z"));
  gateway = await startTestGateway({ dataDir: folder.path, clock });
});
afterAll(async () => {
  await gateway.close();
  await folder.remove();
});

const capture = (authorizationId: string, body: object = {}, idempotencyKey = key()) =>
  gateway.post(`/v1/authorizations/${authorizationId}/capture`, body, idempotencyKey);
const voidIt = (authorizationId: string, idempotencyKey = key()) =>
  gateway.post(`/v1/authorizations/${authorizationId}/void`, {}, idempotencyKey);
const refund = (captureId: string, body: object = {}, idempotencyKey = key()) =>
  gateway.post(`/v1/captures/${captureId}/refunds`, body, idempotencyKey);

describe("authorizations", () => {
  it("are made for seven days and can be read", async () => {
    const made = await gateway.authorize({ reference: "ord_42" });
    expect(made.status).toBe(201);
    expect(made.body).toEqual({
      id: expect.stringMatching(/^auth_[0-9a-f]{32}$/),
      state: "authorized",
      reference: "ord_42",
      currency: "EUR",
      amount: "10000",
      capturable_amount: "10000",
      captured_amount: "0",
      refunded_amount: "0",
      create_time: "2026-06-01T12:00:00.000Z",
      expire_time: "2026-06-08T12:00:00.000Z",
      captures: [],
    });
    const read = await gateway.get(`/v1/authorizations/${idOf(made)}`);
    expect(read.status).toBe(200);
    expect(read.body).toEqual(made.body);
  });

  it("carry amounts beyond 2^53 exactly", async () => {
    const made = await gateway.authorize({ amount: "9223372036854775807" });
    expect(made.body).toMatchObject({ amount: "9223372036854775807" });
    expect((await capture(idOf(made), { amount: "9223372036854775806" })).status).toBe(201);
    const { body } = await gateway.get(`/v1/authorizations/${idOf(made)}`);
    expect(body).toMatchObject({ captured_amount: "9223372036854775806", capturable_amount: "1" });
  });

  it.each([
    ["tok_declined", "card_declined"],
    ["tok_insufficient_funds", "insufficient_funds"],
  ])("are declined for %s", async (payment_token, code) => {
    const { status, body } = await gateway.authorize({ payment_token });
    expect(status).toBe(402);
    expect(body).toEqual({ error: { code, message: expect.any(String) } });
  });

  it("are refused for a token that nobody knows, which is not repeated, and leaves the key free", async () => {
    const refused = await gateway.authorize({ payment_token: "tok_secret123" }, "with-unknown-token");
    expect((await gateway.authorize({ payment_token: "tok_visa\n" })).body).toMatchObject({
      error: { code: "invalid_token" },
    });
    expect(refused.status).toBe(400);
    expect(refused.body).toMatchObject({ error: { code: "invalid_token" } });
    expect(JSON.stringify(refused.body)).not.toContain("secret123");
    expect((await gateway.authorize({}, "with-unknown-token")).status).toBe(201);
  });

  it("that do not exist are not found", async () => {
    const { status, body } = await gateway.get(`/v1/authorizations/auth_${"0".repeat(32)}`);
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: "authorization_not_found" } });
  });

  it("expire, and can then neither be captured nor voided", async () => {
    const id = idOf(await gateway.authorize());
    clock.advance(7 * 24 * 60 * 60 * 1000);
    expect((await gateway.get(`/v1/authorizations/${id}`)).body).toMatchObject({
      state: "expired",
      capturable_amount: "0",
    });
    for (const refused of [await capture(id), await voidIt(id)]) {
      expect(refused.status).toBe(409);
      expect(refused.body).toMatchObject({ error: { code: "authorization_expired" } });
    }
  });
});

describe("captures", () => {
  it("take the whole amount when none is given", async () => {
    const id = idOf(await gateway.authorize());
    const captured = await capture(id);
    expect(captured.status).toBe(201);
    expect(captured.body).toMatchObject({ authorization_id: id, amount: "10000", currency: "EUR" });
    expect((await gateway.get(`/v1/authorizations/${id}`)).body).toMatchObject({
      state: "captured",
      captured_amount: "10000",
    });
  });

  it("take parts, and never more than was authorized", async () => {
    const id = idOf(await gateway.authorize());
    expect((await capture(id, { amount: "4000" })).status).toBe(201);
    const refused = await capture(id, { amount: "6001" });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ error: { code: "capture_exceeds_authorized" } });
    expect((await gateway.get(`/v1/authorizations/${id}`)).body).toMatchObject({ state: "partially_captured" });
    expect((await capture(id)).body).toMatchObject({ amount: "6000" });
  });

  it("of all at once, under keys of their own, take the money once", async () => {
    const id = idOf(await gateway.authorize());
    const answers = await Promise.all(Array.from({ length: 20 }, () => capture(id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 19 }, () => 409)]);
    expect((await gateway.get(`/v1/authorizations/${id}`)).body).toMatchObject({ captured_amount: "10000" });
  });

  it("of an authorization that does not exist are not found", async () => {
    expect((await capture("auth_nonsense")).body).toMatchObject({ error: { code: "authorization_not_found" } });
  });
});

describe("voids", () => {
  it("let go what was authorized, once", async () => {
    const id = idOf(await gateway.authorize());
    const voided = await voidIt(id);
    expect(voided.status).toBe(200);
    expect(voided.body).toMatchObject({ id, state: "voided", capturable_amount: "0" });
    for (const refused of [await voidIt(id), await capture(id)]) {
      expect(refused.status).toBe(409);
      expect(refused.body).toMatchObject({ error: { code: "authorization_voided" } });
    }
  });

  it("come too late after a capture", async () => {
    const id = idOf(await gateway.authorize());
    await capture(id, { amount: "1" });
    expect((await voidIt(id)).body).toMatchObject({ error: { code: "authorization_captured" } });
  });

  it("and captures that race end in exactly one of the two", async () => {
    for (let round = 0; round < 20; round++) {
      const id = idOf(await gateway.authorize());
      const [captured, voided] = await Promise.all([capture(id), voidIt(id)]);
      expect([captured.status, voided.status]).toSatisfy(
        ([first, second]) => (first === 201 && second === 409) || (first === 409 && second === 200),
      );
    }
  });
});

describe("refunds", () => {
  it("give back parts or all of what was captured, and never more", async () => {
    const id = idOf(await gateway.authorize());
    const captureId = idOf(await capture(id, { amount: "8000" }));
    const first = await refund(captureId, { amount: "3000" });
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({ authorization_id: id, capture_id: captureId, amount: "3000", currency: "EUR" });
    const refused = await refund(captureId, { amount: "5001" });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ error: { code: "refund_exceeds_captured" } });
    expect((await refund(captureId)).body).toMatchObject({ amount: "5000" });
    expect((await refund(captureId)).status).toBe(409);
    expect((await gateway.get(`/v1/authorizations/${id}`)).body).toMatchObject({
      refunded_amount: "8000",
      captures: [
        { id: captureId, amount: "8000", refunded_amount: "8000", refunds: [{ amount: "3000" }, { amount: "5000" }] },
      ],
    });
  });

  it("that race give back no more than was captured", async () => {
    const captureId = idOf(await capture(idOf(await gateway.authorize())));
    const answers = await Promise.all(Array.from({ length: 5 }, () => refund(captureId, { amount: "4000" })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409]);
  });

  it("of a capture that does not exist are not found", async () => {
    expect((await refund("cap_nonsense")).body).toMatchObject({ error: { code: "capture_not_found" } });
    const captureId = idOf(await capture(idOf(await gateway.authorize())));
    expect((await refund(captureId.replace(/_1$/, "_2"))).status).toBe(404);
  });
});

describe("transactions", () => {
  it("list every movement of money once, in order, in pages of any size", async () => {
    const before = await gateway.get("/v1/transactions?limit=500");
    const from = String(before.body.next_after);
    const id = idOf(await gateway.authorize({ reference: "ord_pages" }));
    const captureId = idOf(await capture(id, { amount: "700" }));
    await gateway.authorize({ payment_token: "tok_declined" });
    const refundId = idOf(await refund(captureId, { amount: "200" }));
    const other = idOf(await gateway.authorize());
    await voidIt(other);
    const expected = [
      { type: "authorization", id, amount: "10000" },
      { type: "capture", id: captureId, amount: "700" },
      { type: "refund", id: refundId, amount: "200", capture_id: captureId },
      { type: "authorization", id: other, amount: "10000" },
      { type: "void", id: other, amount: "10000" },
    ];
    for (const limit of [1, 2, 5, 100]) {
      const found: unknown[] = [];
      for (let after = from, more = true; more; ) {
        const { body } = await gateway.get(`/v1/transactions?after=${after}&limit=${limit}`);
        if (!Array.isArray(body.transactions)) throw new Error("no list");
        found.push(...body.transactions);
        after = String(body.next_after);
        more = body.has_more === true;
      }
      expect(found).toMatchObject(expected);
      expect(found).toHaveLength(expected.length);
    }
    const { body } = await gateway.get(`/v1/transactions?after=${from}&limit=1`);
    expect(body).toMatchObject({ transactions: [{ authorization_id: id, reference: "ord_pages", currency: "EUR" }] });
  });

  it.each(["after=999999", "after=-1", "after=x", "limit=0", "limit=501", "limit=1.5"])("refuse %s", async (query) => {
    const { status, body } = await gateway.get(`/v1/transactions?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "invalid_request" } });
  });
});
