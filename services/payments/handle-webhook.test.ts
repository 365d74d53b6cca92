import { createHmac } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { Payment_State } from "#gen/shop/payments/v1/payment.ts";
import { PaymentService } from "#gen/shop/payments/v1/payment_service.contract.ts";
import { newId } from "#mesh/ids.ts";
import { abandonAfterMs } from "./operations.ts";
import type { PaymentGateway } from "./payment-gateway.ts";
import { settlePending } from "./settler.ts";
import {
  dieAfterwards,
  gate,
  ordersOf,
  type PaymentsShop,
  passOn,
  startPayments,
  WEBHOOK_SECRET,
} from "./testing/payments.ts";
import { behindOurBack } from "./testing/reconciling.ts";
import { forgetWebhookEvents, WEBHOOK_RETENTION_MS } from "./webhook-sweep.ts";

let shop: PaymentsShop;
const { authorize, authorized, capture, captured, get, letGo, list, refund, settle, types } = ordersOf(() => shop);

beforeAll(async () => {
  shop = await startPayments();
});

afterAll(() => shop.close());

beforeEach(() => {
  shop.lose = passOn;
});

const send = (body: object | string, options: { at?: Date; secret?: string; provider?: string } = {}) => {
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const seconds = Math.floor((options.at ?? shop.clock.now()).getTime() / 1_000);
  const digest = createHmac("sha256", options.secret ?? WEBHOOK_SECRET)
    .update(`${seconds}.`)
    .update(bytes)
    .digest("hex");
  return shop.mesh
    .mesh("gateway")
    .client(PaymentService)
    .try.handleWebhook(
      { provider: options.provider ?? "simulator", signature: `t=${seconds},v1=${digest}`, body: bytes },
      shop.mesh.call(),
    );
};

const about = (reference: string) => ({ id: newId("evt"), authorization_id: reference });
const taken = { ok: true, value: { first: true } };
const referenceOf = async (paymentId: string) => (await get(paymentId))?.providerReference ?? "";
const there = behindOurBack(() => shop);

describe("a webhook", () => {
  test("is taken in once, and brings the payment to the gateway's own record", async () => {
    const paymentId = await authorized();
    const reference = await referenceOf(paymentId);
    await there.letGo(reference);
    const event = about(reference);
    expect(await send(event)).toMatchObject({ ok: true, value: { eventId: event.id, first: true } });
    expect(await send(event)).toMatchObject({ ok: true, value: { first: false } });
    expect((await get(paymentId))?.state).toBe(Payment_State.VOIDED);
  });

  test("with a wrong or an old signature is refused, and so is one of another gateway", async () => {
    const event = { id: newId("evt") };
    const refused = { ok: false, error: { code: "UNAUTHENTICATED", reason: "SIGNATURE_INVALID" } };
    expect(await send(event, { secret: "another" })).toMatchObject(refused);
    expect(await send(event, { at: new Date(shop.clock.now().getTime() - 301_000) })).toMatchObject(refused);
    expect(await send(event, { provider: "nobody" })).toMatchObject({
      ok: false,
      error: { reason: "PROVIDER_UNKNOWN" },
    });
    expect(await send(event)).toMatchObject({ ok: true, value: { first: true } });
  });

  test("changes nothing that is known, in whatever order and however often events come", async () => {
    const orderId = newId("ord");
    const paymentId = await captured({ orderId });
    await refund(paymentId, 1_000n);
    const before = await get(paymentId);
    const events = Array.from({ length: 4 }, () => about(before?.providerReference ?? ""));
    const all = [...events.toReversed(), ...events];
    const answers = await Promise.all(all.map((event) => send(event)));
    expect(answers.filter((answer) => answer.ok && answer.value.first)).toHaveLength(events.length);
    expect(await get(paymentId)).toEqual(before);
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
    expect(await shop.database.db.query("select id from discrepancies where payment_id = $1", [paymentId])).toEqual([]);
  });

  test("that comes before the answer to the call settles it, and the answer then changes nothing", async () => {
    const request = { orderId: newId("ord"), requestId: newId("req") };
    const [done, held] = [gate(), gate()];
    shop.lose = async (answered) => {
      await answered;
      done.open();
      await held.opened;
      return answered;
    };
    const asking = authorize(request);
    await done.opened;
    const movement = (await shop.movements(request.orderId))[0];
    expect(await send(about(movement?.authorization_id ?? ""))).toMatchObject(taken);
    const { payments: found } = await list(request.orderId);
    expect(found).toMatchObject([{ state: Payment_State.AUTHORIZED }]);
    held.open();
    expect(await asking).toMatchObject({ ok: true, value: { payment: { id: found[0]?.id } } });
    expect((await list(request.orderId)).payments).toEqual(found);
    expect(await types(request.orderId)).toEqual(["authorization"]);
  });

  test("finds a capture whose answer was lost", async () => {
    const paymentId = await authorized();
    shop.lose = dieAfterwards;
    await capture(paymentId);
    shop.lose = passOn;
    const { owed } = await shop.books();
    expect(await send(about(await referenceOf(paymentId)))).toMatchObject(taken);
    expect((await get(paymentId))?.state).toBe(Payment_State.CAPTURED);
    expect((await shop.books()).owed - owed).toBe(5_000n);
  });

  test("that comes in the midst of a capture takes what moved meanwhile for no difference", async () => {
    const paymentId = await authorized();
    const reference = await referenceOf(paymentId);
    const { find } = shop.deps.gateway;
    shop.gateway.find = async (asked) => {
      shop.gateway.find = find;
      // After our payment was read, and before the gateway's record is.
      await capture(paymentId);
      return find(asked);
    };
    expect(await send(about(reference))).toMatchObject(taken);
    expect((await get(paymentId))?.state).toBe(Payment_State.CAPTURED);
    expect(await shop.database.db.query("select id from discrepancies where payment_id = $1", [paymentId])).toEqual([]);
  });

  test("that could not be worked off is an error, and is worked off when it comes again", async () => {
    const paymentId = await authorized();
    const reference = await referenceOf(paymentId);
    await there.letGo(reference);
    const event = about(reference);
    const { find } = shop.deps.gateway;
    shop.gateway.find = async () => ({ kind: "unknown", because: "no answer" });
    expect(await send(event)).toMatchObject({ ok: false, error: { code: "UNAVAILABLE", reason: "OUTCOME_UNKNOWN" } });
    shop.gateway.find = find;
    expect(await send(event)).toMatchObject(taken);
    expect((await get(paymentId))?.state).toBe(Payment_State.VOIDED);
  });

  test("about what the gateway does not have, or is not ours, is taken in and does nothing", async () => {
    expect(await send(about("auth_of_nobody"))).toMatchObject(taken);
    const foreign = await there.authorize(newId("ord"));
    expect(await send(about(foreign))).toMatchObject(taken);
  });

  test("that is signed and no event is answered once and for all, does nothing, and is logged without its body", async () => {
    const find = vi.spyOn(shop.gateway, "find");
    const warn = vi.spyOn(shop.deps.log, "warn");
    const odd = [null, "", "..", "../operations?x", "auth_\0", `auth_${"1".repeat(300)}`];
    const bodies = ["junk", "[]", ...odd.map((id) => JSON.stringify({ id: newId("evt"), authorization_id: id }))];
    for (const body of bodies)
      expect(await send(body), body).toMatchObject({ ok: true, value: { eventId: "", first: false } });
    expect(find).not.toHaveBeenCalled();
    expect(warn.mock.calls.map(([fields]) => fields)).toEqual(
      bodies.map((body) => ({ provider: "simulator", bytes: Buffer.byteLength(body) })),
    );
    find.mockRestore();
    warn.mockRestore();
  });

  test("is forgotten after its time, and would then be a hint once more", async () => {
    const event = { id: newId("evt") };
    await send(event);
    shop.clock.advance(WEBHOOK_RETENTION_MS - 1);
    await forgetWebhookEvents(shop.deps);
    expect(await send(event)).toMatchObject({ ok: true, value: { first: false } });
    shop.clock.advance(2);
    await forgetWebhookEvents(shop.deps);
    expect(await send(event)).toMatchObject(taken);
  });
});

describe("a success that comes after all was called off", () => {
  /** An authorization that is given up, and then comes about. */
  const comesLate = async () => {
    const request = { orderId: newId("ord"), requestId: newId("req") };
    const real = shop.gateway.authorize;
    shop.gateway.authorize = async () => ({ kind: "unknown", because: "stuck on its way" });
    await authorize(request);
    shop.gateway.authorize = real;
    shop.clock.advance(abandonAfterMs(shop.deps.gateway));
    expect(await settle(request)).toMatchObject({ ok: true, value: { payment: { declineCode: "abandoned" } } });
    const [operation] = await shop.database.db.query<{ id: string }>(
      "select id from operations where request_id = $1",
      [request.requestId],
    );
    return { ...request, reference: await there.authorize(request.orderId, operation?.id) };
  };

  const discrepanciesOf = (reference: string) =>
    shop.database.db.query("select kind, state from discrepancies where authorization_reference = $1", [reference]);

  test("is voided once when it is an authorization, however many tell of it at once", async () => {
    const { orderId, requestId, reference } = await comesLate();
    const answers = await Promise.all(Array.from({ length: 5 }, () => send(about(reference))));
    // Some may be told to come again: another is at it.
    expect(answers.some(({ ok }) => ok)).toBe(true);
    expect(await send(about(reference))).toMatchObject(taken);
    expect(await types(orderId)).toEqual(["authorization", "void"]);
    expect(await discrepanciesOf(reference)).toContainEqual({ kind: "STATE_DIFFERS", state: "REPAIRED" });
    expect(await authorize({ orderId, requestId })).toMatchObject({
      ok: false,
      error: { reason: "PAYMENT_DECLINED", metadata: { decline_code: "abandoned" } },
    });
  });

  test("is given back once when it was captured", async () => {
    const { orderId, reference } = await comesLate();
    await there.capture(reference, 3_000n);
    const before = await shop.books();
    await send(about(reference));
    await send(about(reference));
    expect((await shop.movements(orderId)).map(({ type, amount }) => `${type} ${amount}`)).toEqual([
      "authorization 5000",
      "capture 3000",
      "refund 3000",
    ]);
    expect(await shop.books()).toEqual(before);
  });

  test("is given back when a payment that we let go turns out to be captured", async () => {
    const orderId = newId("ord");
    const paymentId = await authorized({ orderId });
    const reference = await referenceOf(paymentId);
    await there.capture(reference, 5_000n);
    await shop.database.db.query("update payments set state = 'VOIDED' where id = $1", [paymentId]);
    expect(await send(about(reference))).toMatchObject(taken);
    expect(await types(orderId)).toEqual(["authorization", "capture", "refund"]);
    expect(await letGo(paymentId)).toMatchObject({ ok: true });
  });

  test.each([
    ["before the gateway heard of it", (_act: unknown) => Promise.resolve()],
    ["after the gateway did it", (act: () => Promise<unknown>) => act()],
  ])("is undone once though the process ends %s", async (_when, first) => {
    const { orderId, reference } = await comesLate();
    const real: PaymentGateway["void"] = shop.gateway.void;
    shop.gateway.void = async (request) => {
      await first(() => real(request));
      throw new Error("the process ended here");
    };
    expect(await send(about(reference))).toMatchObject({ ok: false, error: { code: "INTERNAL" } });
    shop.gateway.void = real;
    shop.clock.advance(15_001);
    await settlePending(shop.deps, new AbortController().signal);
    expect(await send(about(reference))).toMatchObject(taken);
    expect(await types(orderId)).toEqual(["authorization", "void"]);
  });

  test("is reported when no rule says what is right", async () => {
    const paymentId = await authorized();
    const reference = await referenceOf(paymentId);
    await there.capture(reference, 5_000n);
    expect(await send(about(reference))).toMatchObject(taken);
    expect(await send(about(reference))).toMatchObject(taken);
    expect(await discrepanciesOf(reference)).toEqual([{ kind: "STATE_DIFFERS", state: "OPEN" }]);
    expect((await get(paymentId))?.state).toBe(Payment_State.AUTHORIZED);
  });
});
