import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newId } from "#mesh/ids.ts";
import { type FakeClock, fakeClock } from "#testing/clock.ts";
import type { PaymentGateway } from "../payment-gateway.ts";
import { keep } from "../testing/fake-stripe/account.ts";
import { type FakeStripe, startFakeStripe, type Trouble } from "../testing/fake-stripe/fake-stripe.ts";
import { AMOUNT, type Dealer, dealerOf, referenceOf } from "../testing/gateway-contract.ts";
import { stripeGateway } from "./stripe-gateway.ts";

// What is Stripe's own, beside what every adapter must do.

const HOUR_MS = 60 * 60 * 1_000;
const tokens = { good: "pm_card_visa", declined: "", insufficientFunds: "", unknown: "" };

let clock: FakeClock;
let stripe: FakeStripe;
let gateway: PaymentGateway;
let dealer: Dealer;

beforeEach(async () => {
  clock = fakeClock();
  stripe = await startFakeStripe(clock);
  gateway = stripeGateway(stripe, clock);
  dealer = dealerOf({ gateway, clock, tokens });
});

afterEach(() => stripe.close());

const posts = () => stripe.seen.filter(({ method }) => method === "POST");
const refundsOf = () => [...stripe.account.refunds.values()];

describe("a request", () => {
  test("carries its key twice, the pinned version, and no figures about us", async () => {
    const key = newId("aut");
    await dealer.authorize({ key });
    await dealer.authorize();
    const [{ headers, body } = { headers: {}, body: "" }, second] = posts();
    expect(headers).toMatchObject({ "idempotency-key": key, "stripe-version": "2026-10-28.endive" });
    expect(second?.headers).not.toHaveProperty("x-stripe-client-telemetry");
    expect(String(second?.headers["x-stripe-client-user-agent"])).not.toMatch(/platform|uname|telemetry/);
    expect(Object.fromEntries(new URLSearchParams(body))).toMatchObject({
      amount: String(AMOUNT),
      capture_method: "manual",
      confirm: "true",
      error_on_requires_action: "true",
      "metadata[shopmesh_authorize]": key,
    });
  });

  test.each<Trouble>(["cut before", "cut after", "500 without effect", "429"])(
    "is sent once, and no second time by itself: %s",
    async (trouble) => {
      stripe.trouble(trouble);
      expect(await dealer.authorize()).toMatchObject({ kind: trouble === "429" ? "retryable" : "unknown" });
      expect(posts()).toHaveLength(1);
    },
  );

  test("that is not answered is given up in time, and not made again", async () => {
    const impatient = dealerOf({ gateway: stripeGateway({ ...stripe, requestTimeoutMs: 200 }, clock), clock, tokens });
    stripe.trouble("hang");
    expect(await impatient.authorize()).toMatchObject({ kind: "unknown" });
    expect(posts().length).toBeLessThanOrEqual(1);
  });

  test("that cannot be made did nothing", async () => {
    const gone = await startFakeStripe(clock);
    await gone.close();
    const nobody = dealerOf({ gateway: stripeGateway(gone, clock), clock, tokens });
    expect(await nobody.authorize()).toMatchObject({
      kind: "retryable",
      because: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("that comes while another with its key is carried out is told to come again", async () => {
    const key = newId("aut");
    const { begun, release } = stripe.hold();
    const first = dealer.authorize({ key });
    await begun;
    expect(await dealer.authorize({ key })).toMatchObject({
      kind: "retryable",
      because: expect.stringContaining("in_use"),
    });
    release();
    expect(referenceOf(await dealer.authorize({ key }))).toBe(referenceOf(await first));
    expect(stripe.account.intents.size).toBe(1);
  });

  test("for what Stripe has not is refused", async () => {
    const refused = { kind: "refused", code: "resource_missing", status: undefined };
    expect(await dealer.refund("ch_nowhere")).toEqual(refused);
    expect(await dealer.capture("pi_nowhere")).toEqual(refused);
    expect(await dealer.letGo("pi_nowhere")).toEqual(refused);
    expect(await gateway.find("pi_nowhere")).toEqual({ kind: "absent" });
  });

  test("that Stripe takes for a wrong one throws, without a word of Stripe's or ours", async () => {
    stripe.trouble("400");
    const error: unknown = await dealer.authorize().catch((thrown: unknown) => thrown);
    expect(error).toEqual(
      new Error("Stripe refused our request as wrong: 400 invalid_request_error parameter_unknown some req_fake1"),
    );
    expect(error).not.toHaveProperty("cause");
  });
});

describe("an error of Stripe's own", () => {
  test("before anything was begun leaves the key free", async () => {
    const key = newId("aut");
    stripe.trouble("500 at the door");
    expect(await dealer.authorize({ key })).toMatchObject({ kind: "unknown" });
    referenceOf(await dealer.authorize({ key }));
    expect(stripe.account.intents.size).toBe(1);
  });

  test.each<Trouble>(["500 after effect", "not json after effect"])(
    "after the effect is seen through: %s",
    async (trouble) => {
      const [aut, cap, rfd] = [newId("aut"), newId("cap"), newId("rfd")];
      stripe.trouble(trouble, trouble, trouble);
      const authorization = referenceOf(await dealer.authorize({ key: aut }));
      const capture = referenceOf(await dealer.capture(authorization, { key: cap }));
      referenceOf(await dealer.refund(capture, { key: rfd, amount: 1_000n }));
      expect(await gateway.find(authorization)).toMatchObject({ value: { captured: AMOUNT, refunded: 1_000n } });
      stripe.trouble(trouble);
      const other = await dealer.authorized();
      stripe.trouble(trouble);
      expect(referenceOf(await dealer.letGo(other))).toBe(other);
      expect([...stripe.account.intents.values()]).toHaveLength(2);
    },
  );

  test("without effect is repeated for a day under its key; then the thing is done, once", async () => {
    const { capture, authorization } = await dealer.captured();
    const { key, firstAskedTime } = dealer.asked();
    const ask = () =>
      gateway.refund({ key, firstAskedTime, captureReference: capture, amount: 1_000n, currencyCode: "EUR" });
    stripe.trouble("500 without effect");
    expect(await ask()).toMatchObject({ kind: "unknown" });
    clock.advance(22 * HOUR_MS);
    expect(await ask()).toMatchObject({ kind: "unknown" });
    expect(refundsOf()).toEqual([]);
    clock.advance(3 * HOUR_MS);
    const reference = referenceOf(await ask());
    clock.advance(48 * HOUR_MS);
    expect(referenceOf(await ask())).toBe(reference);
    expect(await gateway.find(authorization)).toMatchObject({ value: { refunded: 1_000n } });
  });
});

describe("a card", () => {
  test.each([
    ["pm_card_chargeDeclinedExpiredCard", "expired_card"],
    // Whoever found or stole it is not told that it is known.
    ["pm_card_chargeDeclinedLostCard", "card_declined"],
    ["pm_card_authenticationRequired", "authentication_required"],
  ])("%s is declined: %s", async (token, code) => {
    expect(await dealer.authorize({ token })).toEqual({ kind: "declined", code });
  });

  test("that insists on the buyer's confirmation is declined, and what waits for it is cancelled", async () => {
    const token = "pm_card_insistsOnAction";
    expect(await dealer.authorize({ token })).toEqual({ kind: "declined", code: "authentication_required" });
    expect([...stripe.account.intents.values()]).toMatchObject([{ status: "canceled" }]);
    const lost = dealer.asked();
    stripe.trouble("cut after");
    expect(await dealer.authorize({ token, key: lost.key })).toMatchObject({ kind: "unknown" });
    const operation = { ...lost, kind: "AUTHORIZE", lastAskedTime: lost.firstAskedTime } as const;
    expect(await gateway.lookUp(operation)).toEqual({ kind: "declined", code: "authentication_required" });
    expect([...stripe.account.intents.values()]).toMatchObject([{ status: "canceled" }, { status: "canceled" }]);
  });

  test.each([
    ["too small for Stripe", 49n, "EUR"],
    ["too large for Stripe", 100_000_000n, "EUR"],
    ["beyond any currency", 2_000_000_000_000_000n, "EUR"],
    ["in a currency under two rules", 5_000n, "UGX"],
  ])("is not charged an amount %s", async (_, amount, currencyCode) => {
    const answer = await gateway.authorize({
      ...dealer.asked(),
      ...{ amount, currencyCode, paymentToken: tokens.good, reference: newId("ord") },
    });
    expect(answer).toEqual({ kind: "declined", code: "amount_not_accepted" });
  });
});

describe("looking for an authorization", () => {
  const crowd = (count: number) => {
    for (let index = 0; index < count; index += 1) {
      const id = `pi_other${index}`;
      const [some] = stripe.account.intents.values();
      if (some !== undefined) keep(stripe.account.intents, { ...some, id, metadata: {} });
    }
  };

  test("reads on from page to page", async () => {
    const asked = dealer.asked();
    const reference = referenceOf(await dealer.authorize({ key: asked.key }));
    crowd(250);
    const found = await gateway.lookUp({ ...asked, kind: "AUTHORIZE", lastAskedTime: asked.firstAskedTime });
    expect(found).toMatchObject({ kind: "ok", value: { reference } });
    expect(stripe.seen.filter(({ method }) => method === "GET")).toHaveLength(3);
  });

  test("says that it does not know, when there are too many to read", async () => {
    const asked = dealer.asked();
    await dealer.authorize();
    crowd(10_000);
    const found = await gateway.lookUp({ ...asked, kind: "AUTHORIZE", lastAskedTime: asked.firstAskedTime });
    expect(found).toMatchObject({ kind: "unknown", because: expect.stringContaining("100 pages") });
  });

  test("leaves alone what may be under way, and ends what stopped half-way", async () => {
    const asked = dealer.asked();
    const reference = referenceOf(await dealer.authorize({ key: asked.key }));
    const [intent] = stripe.account.intents.values();
    if (intent !== undefined)
      keep(stripe.account.intents, { ...intent, status: "requires_confirmation", latest_charge: null });
    const lookUp = () => gateway.lookUp({ ...asked, kind: "AUTHORIZE", lastAskedTime: asked.firstAskedTime });
    expect(await lookUp()).toMatchObject({ kind: "unknown" });
    clock.advance(60_000);
    expect(await lookUp()).toEqual({ kind: "declined", code: "not_completed" });
    expect(stripe.account.intents.get(reference)).toMatchObject({ status: "canceled" });
  });
});

describe("refunds in Stripe's books", () => {
  test("that somebody made by hand count; those that came to nothing do not", async () => {
    const { authorization, capture } = await dealer.captured();
    const asked = dealer.asked();
    referenceOf(await dealer.refund(capture, { amount: 1_000n, key: asked.key }));
    const [refund] = refundsOf();
    if (refund !== undefined) keep(stripe.account.refunds, { ...refund, id: "re_by_hand", amount: 300, metadata: {} });
    expect(await gateway.find(authorization)).toMatchObject({ value: { refunded: 1_300n } });
    if (refund !== undefined) keep(stripe.account.refunds, { ...refund, status: "failed" });
    expect(await gateway.find(authorization)).toMatchObject({ value: { refunded: 300n } });
    expect(await gateway.lookUp({ ...asked, kind: "REFUND", captureReference: capture })).toMatchObject({
      kind: "refused",
      code: "refund_failed",
    });
  });
});

describe("a webhook", () => {
  test.each([
    ["payment_intent.canceled", { object: "payment_intent", id: "pi_1" }, "pi_1"],
    ["charge.refunded", { object: "charge", id: "ch_1", payment_intent: "pi_1" }, "pi_1"],
    ["refund.failed", { object: "refund", id: "re_1", payment_intent: "pi_1" }, "pi_1"],
    ["charge.dispute.created", { object: "dispute", id: "dp_1", payment_intent: "pi_1" }, "pi_1"],
    ["payout.paid", { object: "payout", id: "po_1" }, undefined],
  ])("%s tells which authorization it is about", (type, object, about) => {
    const { signature, body } = stripe.webhook({ id: "evt_1", object: "event", type, data: { object } });
    expect(gateway.parseWebhook(signature, body, clock.now())).toEqual({ id: "evt_1", authorizationReference: about });
  });

  test("of a kind that is not ours is taken in", () => {
    const { signature, body } = stripe.webhook({
      id: "evt_2",
      object: "v2.core.event",
      type: "v2.core.account.updated",
    });
    expect(gateway.parseWebhook(signature, body, clock.now())).toEqual({
      id: "evt_2",
      authorizationReference: undefined,
    });
  });
});
